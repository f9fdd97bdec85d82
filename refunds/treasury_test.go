package refunds_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/approval"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/remittance"
)

const bank = "vcb-h41"

// treasury is a world in which the agency keeps 7/10 of the phí and has a bank account.
type treasury struct {
	*world
	remit *remittance.Service
}

func newTreasury(t *testing.T) *treasury {
	t.Helper()
	w := &treasury{world: newWorld(t)}
	w.remit = &remittance.Service{DB: postgres.DB{Pool: w.db.App, Now: w.clock.Now}, Fees: w.fees}
	types := schedule.Catalogue().FeeTypes
	i := slices.IndexFunc(types, func(f schedule.FeeType) bool { return f.Code == phi })
	types[i].Terms = []schedule.Terms{{
		ValidFrom: calendar.MustParse("2020-01-01"), Retained: &schedule.Share{Numerator: 7, Denominator: 10}, LegalBasis: "Thông tư thử nghiệm",
	}}
	_, err := w.fees.LoadFeeTypes(t.Context(), auth.Operator("BTC"), types[i:i+1])
	w.ok(err)
	_, err = w.db.Owner.Exec(t.Context(), `
		insert into reconcile.source (id, authority, code, kind, account, currency, created_at, created_by)
		values (gen_random_uuid(), $1, $2, 'bank', '0011', 'VND', now(), 'test')`, province, bank)
	w.ok(err)
	t.Cleanup(func() {
		if w.unchecked {
			return
		}
		if got := w.remitBreaches(); len(got) > 0 {
			t.Errorf("remittance.Check and ledger.Check: got %q, want no breach", got)
		}
	})
	return w
}

func (w *treasury) remitBreaches() (list []string) {
	w.t.Helper()
	w.in(province, func(tx pgx.Tx) error {
		of, err := remittance.Check(context.Background(), tx)
		if err != nil {
			return err
		}
		book, err := ledger.Check(context.Background(), tx)
		list = slices.Concat(of, book)
		return err
	})
	return list
}

func (w *treasury) today() calendar.Date { return dayOf(w.clock.Now()) }

// split divides what came in up to today, tomorrow.
func (w *treasury) split() remittance.Split {
	w.t.Helper()
	day := w.today()
	w.clock.advance(24 * time.Hour)
	s, created, err := w.remit.Split(w.t.Context(), accountant, remittance.SplitRequest{PeriodTo: day, Currency: "VND"})
	w.ok(err)
	if !created {
		w.t.Fatal("Split: got an earlier split, want a new one")
	}
	return s
}

func (w *treasury) voucherOf(kind remittance.VoucherKind, account string) remittance.VoucherRequest {
	return remittance.VoucherRequest{Kind: kind, Account: account, Number: "GNT-1", DocumentDate: w.today(), Treasury: "KBNN Nghệ An"}
}

func (w *treasury) propose(s remittance.Split, kind remittance.VoucherKind, account string) remittance.Voucher {
	w.t.Helper()
	v, _, err := w.remit.Propose(w.t.Context(), accountant, s.ID, w.voucherOf(kind, account))
	w.ok(err)
	return v
}

func (w *treasury) move(s remittance.Split, kind remittance.VoucherKind, account string) {
	w.t.Helper()
	_, err := w.remit.Approve(w.t.Context(), chief, w.propose(s, kind, account).ID)
	w.ok(err)
}

func (w *treasury) order(account string) refunds.Document {
	return refunds.Document{Number: "UNC-18", Date: w.today(), Account: account}
}

// real are the balances that are not memo.
func (w *treasury) real() map[string]int64 {
	w.t.Helper()
	list := w.balances()
	maps.DeleteFunc(list, func(code string, _ int64) bool { return code[0] == 'M' })
	return list
}

func (w *treasury) same(what string, got, want any) {
	w.t.Helper()
	if diff := cmp.Diff(got, want); diff != "" {
		w.t.Errorf("%s (-got +want):\n%s", what, diff)
	}
}

// A refund is taken from where the money is when it is decided, and goes back the way that this allows.
func TestRefundsKnowWhereTheMoneyIs(t *testing.T) {
	t.Parallel()
	type place struct {
		Stage refunds.Stage
		Route refunds.Route
	}
	waiting := func(w *treasury, s remittance.Split) { w.move(s, remittance.ToWaiting, bank) }
	for _, x := range []struct {
		name      string
		before    func(w *treasury) // between capture and decision
		place     place
		approved  map[string]int64
		account   string
		confirmed map[string]int64
	}{
		{
			"captured", func(*treasury) {},
			place{refunds.AtProvider, refunds.ByProvider},
			map[string]int64{"A-CLR-vnpay": 150_000, "L-REFUND": 150_000},
			"", nil,
		},
		{
			"divided", func(w *treasury) { w.split() },
			place{refunds.AtAgency, refunds.ByProvider},
			map[string]int64{"A-CLR-vnpay": 150_000, "L-REFUND": 150_000},
			"", nil,
		},
		{
			"phí at the waiting account", func(w *treasury) { waiting(w, w.split()) },
			place{refunds.AtWaiting, refunds.PaymentOrder},
			map[string]int64{"A-CLR-vnpay": 150_000, "A-TRANSIT-" + bank: -100_000, "A-KB-PHI": 100_000, "L-REFUND": 150_000},
			bank,
			map[string]int64{"A-CLR-vnpay": 150_000, "A-TRANSIT-" + bank: -150_000},
		},
		{
			"lệ phí remitted", func(w *treasury) { w.move(w.split(), remittance.BudgetLePhi, bank) },
			place{refunds.InBudget, refunds.TreasuryOrder},
			map[string]int64{"A-CLR-vnpay": 150_000, "A-TRANSIT-" + bank: -50_000, "A-KB-HOAN": 50_000, "L-REFUND": 150_000},
			bank,
			map[string]int64{"A-CLR-vnpay": 150_000, "A-TRANSIT-" + bank: -150_000},
		},
		{
			"all remitted", func(w *treasury) {
				s := w.split()
				w.move(s, remittance.BudgetLePhi, bank)
				w.move(s, remittance.BudgetPhi, bank)
			},
			place{refunds.InBudget, refunds.TreasuryOrder},
			map[string]int64{"A-CLR-vnpay": 150_000, "A-TRANSIT-" + bank: -80_000, "A-KB-HOAN": 80_000, "L-REFUND": 150_000},
			bank,
			map[string]int64{"A-CLR-vnpay": 150_000, "A-TRANSIT-" + bank: -150_000},
		},
		{
			"all remitted, phí over the waiting account, last year", func(w *treasury) {
				s := w.split()
				waiting(w, s)
				w.move(s, remittance.BudgetLePhi, bank)
				w.move(s, remittance.BudgetPhi, "")
				w.clock.advance(365 * 24 * time.Hour)
			},
			place{refunds.InOldBudget, refunds.TreasuryOrder},
			map[string]int64{"A-CLR-vnpay": 150_000, "A-TRANSIT-" + bank: -150_000, "A-KB-PHI": 70_000, "A-KB-HOAN": 80_000, "L-REFUND": 150_000},
			"",
			map[string]int64{"A-CLR-vnpay": 150_000, "A-TRANSIT-" + bank: -150_000},
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			w := newTreasury(t)
			d, _ := w.paid(lePhi, phi)
			x.before(w)
			r := w.approved(d)
			w.same("place", place{r.Stage, r.Route}, x.place)
			w.same("book after the decision", w.real(), x.approved)
			_, err := w.refunds.Confirm(t.Context(), accountant, r.ID, w.order(x.account))
			if x.confirmed == nil {
				if !refunds.ErrState.Is(err) {
					t.Errorf("Confirm by provider: got %v, want %v", err, refunds.ErrState)
				}
				w.send(r.ID)
				w.clock.advance(time.Minute)
				w.inquire(r.ID)
				w.book(map[string]int64{})
				return
			}
			w.ok(err)
			w.status(r.ID, refunds.Done)
			w.book(x.confirmed)
		})
	}
}

// What a provider declines after the split is provisional again, and the next period divides it.
// The sums beside the shares are kept by the database, and somebody looks after them.
func TestCheckFindsPartsThatWereChanged(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	d, _ := w.paid(lePhi, phi)
	w.split()
	w.approved(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 33_333})
	w.same("nothing changed", w.remitBreaches(), []string(nil))
	w.unchecked = true
	for _, column := range []string{"charges", "amount", "taken_budget"} {
		_, err := w.db.Owner.Exec(t.Context(), `update remittance.part set `+column+` = `+column+` + 1 where fee_type = $1`, phi)
		w.ok(err)
		if got := w.remitBreaches(); len(got) != 1 || !strings.Contains(got[0], " says of "+phi+": ") {
			t.Errorf("%s: got %q, want the breach of %s", column, got, phi)
		}
		_, err = w.db.Owner.Exec(t.Context(), `update remittance.part set `+column+` = `+column+` - 1 where fee_type = $1`, phi)
		w.ok(err)
	}
}

func TestDeclinedAfterTheSplit(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	d, _ := w.paid(lePhi, phi)
	w.split()
	r := w.approved(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 33_333})
	w.same("divided by the ratio", w.real(), map[string]int64{"A-CLR-vnpay": 150_000, "L-NSNN": 70_001, "L-RETAIN": 46_666, "L-REFUND": 33_333})
	w.script.Fault(t, "vnpay", "refund", "refused")
	w.send(r.ID)
	w.status(r.ID, refunds.Declined)
	w.same("declined", w.real(), map[string]int64{"A-CLR-vnpay": 150_000, "L-NSNN": 70_001, "L-RETAIN": 46_666, "L-TAMTHU-PHI": 33_333})
	s := w.split()
	w.same("the next period", s.Parts, []remittance.Part{{FeeType: phi, Kind: schedule.Phi, Charges: 1, Amount: 33_333, Retained: 23_333, Budget: 10_000}})
	w.approved(d)
	w.same("taken from both periods", w.real(), map[string]int64{"A-CLR-vnpay": 150_000, "L-REFUND": 150_000})
}

// A refund that bounced is owed again and is paid again by order.
func TestBouncedRefundIsPaidAgain(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	d, _ := w.paid(phi)
	r := w.approved(d)
	w.send(r.ID)
	w.clock.advance(time.Minute)
	w.inquire(r.ID)
	w.status(r.ID, refunds.Done)
	for range 2 {
		_, err := w.refunds.Return(t.Context(), accountant, r.ID, refunds.Document{Number: "BC-9", Date: w.today(), Account: bank})
		w.ok(err)
		w.status(r.ID, refunds.Returned)
		w.book(map[string]int64{"A-TRANSIT-" + bank: 100_000, "L-REFUND": 100_000})
	}
	w.consistent()
	for _, x := range []struct {
		name string
		doc  refunds.Document
		want error
	}{
		{"no account", refunds.Document{Number: "UNC-1", Date: w.today()}, refunds.ErrDocument},
		{"other account", refunds.Document{Number: "UNC-1", Date: w.today(), Account: "vcb-h99"}, remittance.ErrNoAccount},
		{"no number", refunds.Document{Date: w.today(), Account: bank}, refunds.ErrDocument},
		{"tomorrow", refunds.Document{Number: "UNC-1", Date: w.today().AddDays(1), Account: bank}, refunds.ErrDocument},
		{"before it bounced", refunds.Document{Number: "UNC-1", Date: w.today().AddDays(-1), Account: bank}, refunds.ErrDocument},
	} {
		if _, err := w.refunds.Confirm(t.Context(), accountant, r.ID, x.doc); err == nil || !isFault(err, x.want) {
			t.Errorf("%s: got %v, want %v", x.name, err, x.want)
		}
	}
	for range 2 {
		_, err := w.refunds.Confirm(t.Context(), accountant, r.ID, w.order(bank))
		w.ok(err)
	}
	w.book(map[string]int64{})
	w.status(r.ID, refunds.Done)
	_, err := w.refunds.Return(t.Context(), accountant, r.ID, refunds.Document{Number: "BC-10", Date: w.today(), Account: bank})
	w.ok(err)
	w.book(map[string]int64{"A-TRANSIT-" + bank: 100_000, "L-REFUND": 100_000})
	for _, actor := range []auth.Actor{portal, chief, auditor, admin} {
		if _, err := w.refunds.Confirm(t.Context(), actor, r.ID, w.order(bank)); !auth.ErrForbidden.Is(err) {
			t.Errorf("Confirm by %s: got %v, want %v", actor.Role, err, auth.ErrForbidden)
		}
	}
}

// A paper carries out one thing: the request that recorded it, come late, moves
// nothing again after what followed it.
func TestOldDocumentMovesNothingAgain(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	d, _ := w.paid(phi)
	r := w.approved(d)
	w.send(r.ID)
	w.clock.advance(time.Minute)
	w.inquire(r.ID)
	bounced := refunds.Document{Number: "BC-9", Date: w.today(), Account: bank}
	_, err := w.refunds.Return(t.Context(), accountant, r.ID, bounced)
	w.ok(err)
	_, err = w.refunds.Confirm(t.Context(), accountant, r.ID, w.order(bank))
	w.ok(err)
	if _, err = w.refunds.Return(t.Context(), accountant, r.ID, bounced); !refunds.ErrDocument.Is(err) {
		t.Errorf("it bounced by the same paper again: got %v, want %v", err, refunds.ErrDocument)
	}
	w.status(r.ID, refunds.Done)
	w.book(map[string]int64{})
	again := bounced
	again.Number = "BC-10"
	_, err = w.refunds.Return(t.Context(), accountant, r.ID, again)
	w.ok(err)
	if _, err = w.refunds.Confirm(t.Context(), accountant, r.ID, w.order(bank)); !refunds.ErrDocument.Is(err) {
		t.Errorf("paid by the same order again: got %v, want %v", err, refunds.ErrDocument)
	}
	w.status(r.ID, refunds.Returned)
	w.book(map[string]int64{"A-TRANSIT-" + bank: 100_000, "L-REFUND": 100_000})
}

func isFault(err, want error) bool {
	f, ok := want.(interface{ Is(error) bool })
	return ok && f.Is(err)
}

func TestSplitsAndVouchers(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	ask := remittance.SplitRequest{PeriodTo: w.today(), Currency: "VND"}
	refused := func(what string, err error, want interface{ Is(error) bool }) {
		t.Helper()
		if !want.Is(err) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}
	split := func(q remittance.SplitRequest) error {
		_, _, err := w.remit.Split(t.Context(), accountant, q)
		return err
	}
	refused("today is not over", split(ask), remittance.ErrInvalid)
	d, _ := w.paid(lePhi, phi)
	w.paid(lePhi)
	s := w.split()
	w.same("parts", s.Parts, []remittance.Part{
		{FeeType: lePhi, Kind: schedule.LePhi, Charges: 2, Amount: 100_000, Budget: 100_000},
		{FeeType: phi, Kind: schedule.Phi, Charges: 1, Amount: 100_000, Retained: 70_000, Budget: 30_000},
	})
	w.same("book", w.real(), map[string]int64{"A-CLR-vnpay": 200_000, "L-NSNN": 130_000, "L-RETAIN": 70_000})
	again, created, err := w.remit.Split(t.Context(), accountant, ask)
	w.ok(err)
	w.same("the same period again", again, s)
	w.same("created", created, false)
	refused("an earlier period", split(remittance.SplitRequest{PeriodTo: ask.PeriodTo.AddDays(-1), Currency: "VND"}), remittance.ErrPeriodOrder)
	_, _, err = w.remit.Split(t.Context(), chief, ask)
	refused("a chief divides", err, auth.ErrForbidden)
	w.clock.advance(24 * time.Hour)
	refused("nothing new", split(remittance.SplitRequest{PeriodTo: ask.PeriodTo.AddDays(1), Currency: "VND"}), remittance.ErrNothing)

	propose := func(kind remittance.VoucherKind, account string) error {
		_, _, err := w.remit.Propose(t.Context(), accountant, s.ID, w.voucherOf(kind, account))
		return err
	}
	refused("from the waiting account, where nothing is", propose(remittance.BudgetPhi, ""), remittance.ErrState)
	refused("lệ phí without a bank", propose(remittance.BudgetLePhi, ""), remittance.ErrInvalid)
	refused("an unknown bank", propose(remittance.ToWaiting, "vcb-h99"), remittance.ErrNoAccount)
	v := w.propose(s, remittance.ToWaiting, bank)
	w.same("amount", v.Amount, int64(100_000))
	w.same("the same voucher again", w.propose(s, remittance.ToWaiting, bank), v)
	w.ok(propose(remittance.BudgetPhi, bank))
	refused("the number with another account", propose(remittance.BudgetPhi, ""), remittance.ErrOtherContent)
	_, err = w.remit.Approve(t.Context(), auth.Actor{Authority: province, Role: auth.RoleChiefAccountant, ID: accountant.ID}, v.ID)
	refused("the maker approves", err, approval.ErrSamePerson)
	_, err = w.remit.Approve(t.Context(), accountant, v.ID)
	refused("an accountant approves", err, auth.ErrForbidden)

	w.approved(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 10_000})
	_, err = w.remit.Approve(t.Context(), chief, v.ID)
	refused("a refund took from it", err, remittance.ErrChanged)
	_, err = w.remit.Reject(t.Context(), chief, v.ID, "số tiền đã thay đổi")
	w.ok(err)
	_, err = w.remit.Approve(t.Context(), chief, v.ID)
	refused("approve what is rejected", err, approval.ErrDecided)
	second := w.voucherOf(remittance.ToWaiting, bank)
	second.Number = "GNT-2"
	v, _, err = w.remit.Propose(t.Context(), accountant, s.ID, second)
	w.ok(err)
	for range 2 {
		v, err = w.remit.Approve(t.Context(), chief, v.ID)
		w.ok(err)
	}
	w.same("book", w.real(), map[string]int64{
		"A-CLR-vnpay": 200_000, "A-TRANSIT-" + bank: -90_000, "A-KB-PHI": 90_000, "L-NSNN": 127_000, "L-RETAIN": 63_000, "L-REFUND": 10_000,
	})
	third := second
	third.Number = "GNT-3"
	_, _, err = w.remit.Propose(t.Context(), accountant, s.ID, third)
	refused("the same way twice", err, remittance.ErrState)
	found, err := w.remit.Find(t.Context(), auditor, s.ID)
	w.ok(err)
	w.same("vouchers", len(found.Vouchers), 3)
	w.same("taken", []int64{found.Parts[1].TakenRetained, found.Parts[1].TakenBudget}, []int64{7_000, 3_000})
}

// Without a retained share in the terms nothing is divided: guessing would give the agency's money away, or keep the budget's.
func TestSplitNeedsTheTerms(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	types := schedule.Catalogue().FeeTypes
	i := slices.IndexFunc(types, func(f schedule.FeeType) bool { return f.Code == phi })
	types[i].Terms = []schedule.Terms{{
		ValidFrom: calendar.MustParse("2025-01-01"), Retained: &schedule.Share{Numerator: 1, Denominator: 1}, LegalBasis: "Thông tư thử nghiệm",
	}}
	_, err := w.fees.LoadFeeTypes(t.Context(), auth.Operator("BTC"), types[i:i+1])
	w.ok(err)
	w.paid(phi)
	day := w.today()
	w.clock.advance(24 * time.Hour)
	if _, _, err = w.remit.Split(t.Context(), accountant, remittance.SplitRequest{PeriodTo: day, Currency: "VND"}); !remittance.ErrNoRatio.Is(err) {
		t.Errorf("Split before the terms are in force: got %v, want %v", err, remittance.ErrNoRatio)
	}
	w.same("nothing moved", w.real(), map[string]int64{"A-CLR-vnpay": 100_000, "L-TAMTHU-PHI": 100_000})
}
