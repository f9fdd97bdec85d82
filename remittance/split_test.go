package remittance_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/approval"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/remittance"
)

// The database keeps the sums beside the shares, and the check looks after them.
func TestCheckFindsPartsThatWereChanged(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	d, _ := w.Paid(lePhi, phi)
	w.Split()
	w.Approved(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 33_333})
	w.Same("nothing changed", w.RemitBreaches(), []string(nil))
	w.Unchecked = true
	for _, column := range []string{"charges", "amount", "taken_budget"} {
		_, err := w.DB.Owner.Exec(t.Context(), `update remittance.part set `+column+` = `+column+` + 1 where fee_type = $1`, phi)
		w.Must(err)
		if got := w.RemitBreaches(); len(got) != 1 || !strings.Contains(got[0], " says of "+phi+": ") {
			t.Errorf("%s: got %q, want the breach of %s", column, got, phi)
		}
		_, err = w.DB.Owner.Exec(t.Context(), `update remittance.part set `+column+` = `+column+` - 1 where fee_type = $1`, phi)
		w.Must(err)
	}
}

func TestSplitsAndVouchers(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	ask := remittance.SplitRequest{PeriodTo: w.Today(), Currency: "VND"}
	refused := func(what string, err error, want interface{ Is(error) bool }) {
		t.Helper()
		if !want.Is(err) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}
	split := func(q remittance.SplitRequest) error {
		_, _, err := w.Remittance.Split(t.Context(), accountant, q)
		return err
	}
	refused("today is not over", split(ask), remittance.ErrInvalid)
	d, _ := w.Paid(lePhi, phi)
	w.Paid(lePhi)
	s := w.Split()
	w.Same("parts", s.Parts, []remittance.Part{
		{FeeType: lePhi, Kind: schedule.LePhi, Charges: 2, Amount: 100_000, Budget: 100_000},
		{FeeType: phi, Kind: schedule.Phi, Charges: 1, Amount: 100_000, Retained: 70_000, Budget: 30_000},
	})
	w.Same("book", w.Real(), map[string]int64{"A-CLR-vnpay": 200_000, "L-NSNN": 130_000, "L-RETAIN": 70_000})
	again, created, err := w.Remittance.Split(t.Context(), accountant, ask)
	w.Must(err)
	w.Same("the same period again", again, s)
	w.Same("created", created, false)
	earlier := remittance.SplitRequest{PeriodTo: ask.PeriodTo.AddDays(-1), Currency: "VND"}
	refused("an earlier period", split(earlier), remittance.ErrPeriodOrder)
	_, _, err = w.Remittance.Split(t.Context(), chief, ask)
	refused("a chief divides", err, auth.ErrForbidden)
	w.Clock.Advance(24 * time.Hour)
	refused("nothing new", split(remittance.SplitRequest{PeriodTo: ask.PeriodTo.AddDays(1), Currency: "VND"}), remittance.ErrNothing)

	propose := func(kind remittance.VoucherKind, account string) error {
		_, _, err := w.Remittance.Propose(t.Context(), accountant, s.ID, w.VoucherOf(kind, account))
		return err
	}
	refused("from the waiting account, where nothing is", propose(remittance.BudgetPhi, ""), remittance.ErrStatus)
	refused("lệ phí without a bank", propose(remittance.BudgetLePhi, ""), remittance.ErrInvalid)
	refused("an unknown bank", propose(remittance.ToWaiting, "vcb-h99"), remittance.ErrNoAccount)
	v := w.Propose(s, remittance.ToWaiting, bank)
	w.Same("amount", v.Amount, int64(100_000))
	w.Same("the same voucher again", w.Propose(s, remittance.ToWaiting, bank), v)
	w.Must(propose(remittance.BudgetPhi, bank))
	refused("the number with another account", propose(remittance.BudgetPhi, ""), remittance.ErrOtherContent)
	_, err = w.Remittance.Approve(t.Context(), auth.Actor{Authority: province, Role: auth.RoleChiefAccountant, ID: accountant.ID}, v.ID)
	refused("the maker approves", err, approval.ErrSamePerson)
	_, err = w.Remittance.Approve(t.Context(), accountant, v.ID)
	refused("an accountant approves", err, auth.ErrForbidden)

	w.Approved(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 10_000})
	_, err = w.Remittance.Approve(t.Context(), chief, v.ID)
	refused("a refund took from it", err, remittance.ErrChanged)
	_, err = w.Remittance.Reject(t.Context(), chief, v.ID, "số tiền đã thay đổi")
	w.Must(err)
	_, err = w.Remittance.Approve(t.Context(), chief, v.ID)
	refused("approve what is rejected", err, approval.ErrDecided)
	second := w.VoucherOf(remittance.ToWaiting, bank)
	second.Number = "GNT-2"
	v, _, err = w.Remittance.Propose(t.Context(), accountant, s.ID, second)
	w.Must(err)
	for range 2 {
		v, err = w.Remittance.Approve(t.Context(), chief, v.ID)
		w.Must(err)
	}
	w.Same("book", w.Real(), map[string]int64{
		"A-CLR-vnpay": 200_000, "A-TRANSIT-" + bank: -90_000, "A-KB-PHI": 90_000, "L-NSNN": 127_000, "L-RETAIN": 63_000, "L-REFUND": 10_000,
	})
	third := second
	third.Number = "GNT-3"
	_, _, err = w.Remittance.Propose(t.Context(), accountant, s.ID, third)
	refused("the same way twice", err, remittance.ErrStatus)
	found, err := w.Remittance.Find(t.Context(), auditor, s.ID)
	w.Must(err)
	w.Same("vouchers", len(found.Vouchers), 3)
	w.Same("taken", []int64{found.Parts[1].TakenRetained, found.Parts[1].TakenBudget}, []int64{7_000, 3_000})
}

// Without a retained share in the terms nothing is divided: guessing would give the agency's money away, or keep the budget's.
func TestSplitNeedsTheTerms(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	types := schedule.Catalogue().FeeTypes
	i := slices.IndexFunc(types, func(f schedule.FeeType) bool { return f.Code == phi })
	types[i].Terms = []schedule.Terms{{
		ValidFrom: calendar.MustParse("2025-01-01"), Retained: &schedule.Share{Numerator: 1, Denominator: 1},
		LegalBasis: "Thông tư thử nghiệm",
	}}
	_, err := w.Fees.LoadFeeTypes(t.Context(), auth.Operator("BTC"), types[i:i+1])
	w.Must(err)
	w.Paid(phi)
	day := w.Today()
	w.Clock.Advance(24 * time.Hour)
	_, _, err = w.Remittance.Split(t.Context(), accountant, remittance.SplitRequest{PeriodTo: day, Currency: "VND"})
	if !remittance.ErrNoRatio.Is(err) {
		t.Errorf("Split before the terms are in force: got %v, want %v", err, remittance.ErrNoRatio)
	}
	w.Same("nothing moved", w.Real(), map[string]int64{"A-CLR-vnpay": 100_000, "L-TAMTHU-PHI": 100_000})
}
