package remittance_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/remittance"
	"github.com/doisoat/doisoat/repricing"
	"github.com/doisoat/doisoat/repricing/replay"
)

// subsidy records a policy by which a budget pays a fee of 100 000 wholly, or its next version, which pays nothing.
func (w *treasury) subsidy(payer int) {
	w.T.Helper()
	p, err := schedule.ParsePolicy(fmt.Appendf(nil, `{
		"id": "NA-SUBSIDY", "status": "in_force", "authority": {"code": "H41", "name": "HĐND tỉnh Nghệ An", "level": "province"},
		"territory": ["H41"], "legal_basis": {"number": "14/2023/NQ-HĐND", "kind": "nghi_quyet_hdnd"},
		"scope": {"mode": "fee_type_list", "fee_types": ["LP_DKKD"], "list_complete": true},
		"effect": {"kind": "subsidy", "payer_share": {"numerator": %d, "denominator": 1}, "funder": "NSĐP"},
		"valid_from": "2024-01-01"}`, payer))
	w.Must(err)
	_, err = w.Fees.LoadPolicies(w.T.Context(), auth.Operator(province), []schedule.Policy{p})
	w.Must(err)
}

// A subsidy that was taken back belongs to no party: there is nothing to divide before the payer pays.
func TestSubsidyTakenBackIsNotDivided(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{false, true} {
		t.Run(fmt.Sprintf("divided first %t", first), func(t *testing.T) {
			t.Parallel()
			w := newTreasury(t)
			w.subsidy(0)
			d := w.Business()
			want := map[string]int64{}
			if first {
				w.Split()
				w.Same("divided", w.Real(), map[string]int64{"A-SUBSIDY": 100_000, "L-NSNN": 100_000})
				want = map[string]int64{"L-NSNN": 100_000, "L-TAMTHU-LEPHI": -100_000}
			}
			w.subsidy(1)
			r, _, err := w.Repricing.Propose(t.Context(), accountant, repricing.Request{
				Policy: "NA-SUBSIDY", Period: replay.Period{From: d.PricingDate, To: d.PricingDate}, Reason: "sai",
			})
			w.Must(err)
			w.Reprice(r)
			w.Same("taken back", w.Real(), want)
			w.Consistent()
			w.Same("breaches", w.RemitBreaches(), []string(nil))
			day := w.Today()
			w.Clock.Advance(24 * time.Hour)
			_, _, err = w.Remittance.Split(t.Context(), accountant, remittance.SplitRequest{PeriodTo: day, Currency: "VND"})
			if !remittance.ErrNothing.Is(err) {
				t.Errorf("Split: got %v, want %v", err, remittance.ErrNothing)
			}
			w.Same("after the split", w.Real(), want)
			w.Capture(w.Create(w.Find(d.Code)))
			day = w.Today()
			w.Clock.Advance(24 * time.Hour)
			_, _, err = w.Remittance.Split(t.Context(), accountant, remittance.SplitRequest{PeriodTo: day, Currency: "VND"})
			if first != remittance.ErrNothing.Is(err) || !first && err != nil {
				t.Errorf("Split after the payment: got %v, want nothing to divide only if it was divided before", err)
			}
			w.Same("paid and divided", w.Real(), map[string]int64{"A-CLR-vnpay": 100_000, "L-NSNN": 100_000})
			w.Approved(d)
			w.Same("given back", w.Real(), map[string]int64{"A-CLR-vnpay": 100_000, "L-REFUND": 100_000})
		})
	}
}

// Money that came on a date long divided is not looked for again: the check says so.
func TestCheckFindsMoneyThatNoSplitReaches(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	w.Unchecked = true
	d := w.Dossier(lePhi)
	w.Paid(lePhi)
	w.Split()
	w.Same("all well", len(w.RemitBreaches()), 0)
	late := w.Today().AddDays(-100)
	w.In(province, func(tx pgx.Tx) error {
		c, amount := d.Charges[0], money.Dong(50_000)
		_, err := ledger.Post(t.Context(), tx, ledger.Entry{
			Authority: province, BusinessDate: late, RecordedAt: w.Clock.Now(), Actor: "system", Description: "late",
			Cause: ledger.Cause{Kind: "test", ID: "late", Event: "captured"},
			Postings: []ledger.Posting{
				ledger.Dr(ledger.Clearing("vnpay"), amount, ledger.Dimensions{}), ledger.Cr(ledger.ProvisionalLePhi, amount, c.Dimensions()),
			},
		})
		return err
	})
	day := w.Today()
	w.Clock.Advance(24 * time.Hour)
	_, _, err := w.Remittance.Split(t.Context(), accountant, remittance.SplitRequest{PeriodTo: day, Currency: "VND"})
	if !remittance.ErrNothing.Is(err) {
		t.Fatalf("Split: got %v, want %v", err, remittance.ErrNothing)
	}
	w.Same("breaches", w.RemitBreaches(), []string{fmt.Sprintf(
		"50000 of charge chg_%s came on dates up to %s, which splits do not read",
		strings.ReplaceAll(d.Charges[0].ID.UUID().String(), "-", ""), late)})
}

// Check finds money that a charge gave back without having it. It does not take such money for a subsidy that was taken
// back.
func TestCheckFindsMoneyThatAChargeNeverHad(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	w.Unchecked = true
	w.subsidy(0)
	d := w.Business()
	w.Split()
	w.subsidy(1)
	r, _, err := w.Repricing.Propose(t.Context(), accountant, repricing.Request{
		Policy: "NA-SUBSIDY", Period: replay.Period{From: d.PricingDate, To: d.PricingDate}, Reason: "sai",
	})
	w.Must(err)
	w.Reprice(r)
	w.Same("all well", w.RemitBreaches(), []string(nil))
	w.In(province, func(tx pgx.Tx) error {
		about, amount := d.Charges[0].Dimensions(), money.Dong(1)
		_, err := ledger.Post(t.Context(), tx, ledger.Entry{
			Authority: province, BusinessDate: w.Today(), RecordedAt: w.Clock.Now(), Actor: "system", Description: "too much",
			Cause: ledger.Cause{Kind: "test", ID: "more", Event: "given"},
			Postings: []ledger.Posting{
				ledger.Dr(ledger.ProvisionalLePhi, amount, about), ledger.Cr(ledger.Clearing("vnpay"), amount, ledger.Dimensions{}),
			},
		})
		return err
	})
	w.Same("breaches", w.RemitBreaches(), []string{fmt.Sprintf(
		"L-TAMTHU-LEPHI of charge chg_%s is -100001 VND", strings.ReplaceAll(d.Charges[0].ID.UUID().String(), "-", ""))})
}

// A charge and the one that corrects it are divided as one, and given back together out of one share.
func TestCorrectedChargeIsOneShare(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	w.Policy("NA-WRONG", 60)
	d := w.Business()
	w.Policy("NA-WRONG", 90)
	w.Reprice(w.ProposeRepricing("NA-WRONG"))
	w.Capture(w.Create(w.Find(d.Code)))
	s := w.Split()
	w.Same("parts", s.Parts, []remittance.Part{{FeeType: "LP_DKKD", Kind: schedule.LePhi, Charges: 1, Amount: 90_000, Budget: 90_000}})
	w.Approved(d)
	w.Same("given back", w.Real(), map[string]int64{"A-CLR-vnpay": 90_000, "L-REFUND": 90_000})
	found, err := w.Remittance.Find(t.Context(), auditor, s.ID)
	w.Must(err)
	w.Same("taken", found.Parts[0].TakenBudget, int64(90_000))
}
