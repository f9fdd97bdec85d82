package refunds_test

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
	w.t.Helper()
	p, err := schedule.ParsePolicy(fmt.Appendf(nil, `{
		"id": "NA-SUBSIDY", "status": "in_force", "authority": {"code": "H41", "name": "HĐND tỉnh Nghệ An", "level": "province"},
		"territory": ["H41"], "legal_basis": {"number": "14/2023/NQ-HĐND", "kind": "nghi_quyet_hdnd"},
		"scope": {"mode": "fee_type_list", "fee_types": ["LP_DKKD"], "list_complete": true},
		"effect": {"kind": "subsidy", "payer_share": {"numerator": %d, "denominator": 1}, "funder": "NSĐP"},
		"valid_from": "2024-01-01"}`, payer))
	w.ok(err)
	_, err = w.fees.LoadPolicies(w.t.Context(), auth.Operator(province), []schedule.Policy{p})
	w.ok(err)
}

// A subsidy that was taken back is nobody's money: there is nothing to divide before the payer pays.
func TestSubsidyTakenBackIsNotDivided(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{false, true} {
		t.Run(fmt.Sprintf("divided first %t", first), func(t *testing.T) {
			t.Parallel()
			w := newTreasury(t)
			w.subsidy(0)
			d := w.business()
			want := map[string]int64{}
			if first {
				w.split()
				w.same("divided", w.real(), map[string]int64{"A-SUBSIDY": 100_000, "L-NSNN": 100_000})
				want = map[string]int64{"L-NSNN": 100_000, "L-TAMTHU-LEPHI": -100_000}
			}
			w.subsidy(1)
			r, _, err := w.repricing.Propose(t.Context(), accountant, repricing.Request{
				Policy: "NA-SUBSIDY", Period: replay.Period{From: d.PricingDate, To: d.PricingDate}, Reason: "sai",
			})
			w.ok(err)
			w.reprice(r)
			w.same("taken back", w.real(), want)
			w.consistent()
			w.same("breaches", w.remitBreaches(), []string(nil))
			day := w.today()
			w.clock.advance(24 * time.Hour)
			_, _, err = w.remit.Split(t.Context(), accountant, remittance.SplitRequest{PeriodTo: day, Currency: "VND"})
			if !remittance.ErrNothing.Is(err) {
				t.Errorf("Split: got %v, want %v", err, remittance.ErrNothing)
			}
			w.same("after the split", w.real(), want)
			w.capture(w.create(w.find(d.Code)))
			day = w.today()
			w.clock.advance(24 * time.Hour)
			_, _, err = w.remit.Split(t.Context(), accountant, remittance.SplitRequest{PeriodTo: day, Currency: "VND"})
			if first != remittance.ErrNothing.Is(err) || !first && err != nil {
				t.Errorf("Split after the payment: got %v, want nothing to divide only if it was divided before", err)
			}
			w.same("paid and divided", w.real(), map[string]int64{"A-CLR-vnpay": 100_000, "L-NSNN": 100_000})
			w.approved(d)
			w.same("given back", w.real(), map[string]int64{"A-CLR-vnpay": 100_000, "L-REFUND": 100_000})
		})
	}
}

// Money that came on a date long divided is not looked for again: the check says so.
func TestCheckFindsMoneyThatNoSplitReaches(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	w.unchecked = true
	d := w.dossier(lePhi)
	w.paid(lePhi)
	w.split()
	w.same("all well", len(w.remitBreaches()), 0)
	late := w.today().AddDays(-100)
	w.in(province, func(tx pgx.Tx) error {
		c, amount := d.Charges[0], money.Dong(50_000)
		_, err := ledger.Post(t.Context(), tx, ledger.Entry{
			Authority: province, BusinessDate: late, RecordedAt: w.clock.Now(), Actor: "system", Description: "late",
			Cause: ledger.Cause{Kind: "test", ID: "late", Event: "captured"},
			Postings: []ledger.Posting{
				ledger.Dr(ledger.Clearing("vnpay"), amount, ledger.Dimensions{}), ledger.Cr(ledger.ProvisionalLePhi, amount, c.Dimensions()),
			},
		})
		return err
	})
	day := w.today()
	w.clock.advance(24 * time.Hour)
	if _, _, err := w.remit.Split(t.Context(), accountant, remittance.SplitRequest{PeriodTo: day, Currency: "VND"}); !remittance.ErrNothing.Is(err) {
		t.Fatalf("Split: got %v, want %v", err, remittance.ErrNothing)
	}
	w.same("breaches", w.remitBreaches(), []string{fmt.Sprintf(
		"50000 of charge chg_%s came on dates up to %s, which no split looks at any more", strings.ReplaceAll(d.Charges[0].ID.UUID().String(), "-", ""), late)})
}

// What a charge gave back and never had is found, and not taken for a subsidy that was taken back.
func TestCheckFindsMoneyThatAChargeNeverHad(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	w.unchecked = true
	w.subsidy(0)
	d := w.business()
	w.split()
	w.subsidy(1)
	r, _, err := w.repricing.Propose(t.Context(), accountant, repricing.Request{
		Policy: "NA-SUBSIDY", Period: replay.Period{From: d.PricingDate, To: d.PricingDate}, Reason: "sai",
	})
	w.ok(err)
	w.reprice(r)
	w.same("all well", w.remitBreaches(), []string(nil))
	w.in(province, func(tx pgx.Tx) error {
		about, amount := d.Charges[0].Dimensions(), money.Dong(1)
		_, err := ledger.Post(t.Context(), tx, ledger.Entry{
			Authority: province, BusinessDate: w.today(), RecordedAt: w.clock.Now(), Actor: "system", Description: "too much",
			Cause:    ledger.Cause{Kind: "test", ID: "more", Event: "given"},
			Postings: []ledger.Posting{ledger.Dr(ledger.ProvisionalLePhi, amount, about), ledger.Cr(ledger.Clearing("vnpay"), amount, ledger.Dimensions{})},
		})
		return err
	})
	w.same("breaches", w.remitBreaches(), []string{fmt.Sprintf(
		"L-TAMTHU-LEPHI of charge chg_%s is -100001 VND", strings.ReplaceAll(d.Charges[0].ID.UUID().String(), "-", ""))})
}

// A charge and the one that corrects it are divided as one, and given back together out of one share.
func TestCorrectedChargeIsOneShare(t *testing.T) {
	t.Parallel()
	w := newTreasury(t)
	w.policy("NA-WRONG", 60)
	d := w.business()
	w.policy("NA-WRONG", 90)
	w.reprice(w.world.propose("NA-WRONG"))
	w.capture(w.create(w.find(d.Code)))
	s := w.split()
	w.same("parts", s.Parts, []remittance.Part{{FeeType: "LP_DKKD", Kind: schedule.LePhi, Charges: 1, Amount: 90_000, Budget: 90_000}})
	w.approved(d)
	w.same("given back", w.real(), map[string]int64{"A-CLR-vnpay": 90_000, "L-REFUND": 90_000})
	found, err := w.remit.Find(t.Context(), auditor, s.ID)
	w.ok(err)
	w.same("taken", found.Parts[0].TakenBudget, int64(90_000))
}
