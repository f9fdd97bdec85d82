package reconcile_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/seal"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/remittance"
)

// The events of the finance desk.

func (s *sequence) proposeVoucher(t *rapid.T) {
	split := one(t, s.splits, "split")
	kind := rapid.SampledFrom([]remittance.VoucherKind{remittance.ToWaiting, remittance.BudgetPhi, remittance.BudgetLePhi}).Draw(t, "kind")
	s.serial++
	q := remittance.VoucherRequest{Kind: kind, Account: bank, Number: fmt.Sprintf("GNT-%d", s.serial), DocumentDate: s.today(), Treasury: "KBNN"}
	if kind == remittance.BudgetPhi && rapid.Bool().Draw(t, "from the waiting account") {
		q.Account = ""
	}
	v, _, err := s.remittance.Propose(t.Context(), s.as(auth.RoleAccountant), split.id, q)
	if s.refused(t, err, remittance.ErrState, remittance.ErrNothing) {
		return
	}
	if want := total(split.moves(kind)); v.Amount != want {
		t.Fatalf("a voucher %s over %d, want %d", kind, v.Amount, want)
	}
	split.vouchers = append(split.vouchers, v)
	if rapid.Bool().Draw(t, "decide at once") {
		s.decideOn(t, split, v)
	}
}

func total(sums map[string]int64) (sum int64) {
	for _, amount := range sums {
		sum += amount
	}
	return sum
}

func (s *sequence) decideVoucher(t *rapid.T) {
	split := one(t, s.splits, "split")
	s.decideOn(t, split, one(t, split.vouchers, "voucher"))
}

func (s *sequence) decideOn(t *rapid.T, split *modelSplit, v remittance.Voucher) {
	split.vouchers = slices.DeleteFunc(split.vouchers, func(o remittance.Voucher) bool { return o.ID == v.ID })
	if rapid.IntRange(0, 5).Draw(t, "reject") == 0 {
		_, err := s.remittance.Reject(t.Context(), s.as(auth.RoleChiefAccountant), v.ID, "sai")
		s.ok(t, err)
		return
	}
	_, err := s.remittance.Approve(t.Context(), s.as(auth.RoleChiefAccountant), v.ID)
	if !s.refused(t, err, remittance.ErrState, remittance.ErrChanged, remittance.ErrNothing) {
		s.move(split, v)
	}
}

// run brings a file of some day in and reconciles up to a day; it may find
// money that no message told of, and refunds that are done.
func (s *sequence) run(source string) func(t *rapid.T) {
	return func(t *rapid.T) {
		date := s.today().AddDays(-rapid.IntRange(0, 3).Draw(t, "days ago"))
		_, err := s.reconcile.Ingest(t.Context(), s.as(auth.RoleAccountant), source, source+".txt", s.file(t, source, date), false, "")
		s.ok(t, err)
		run, _, err := s.reconcile.StartRun(t.Context(), s.as(auth.RoleAccountant), source, s.today().AddDays(-rapid.IntRange(0, 2).Draw(t, "up to days ago")))
		s.ok(t, err)
		if !run.Holds() {
			t.Fatalf("the identity of the run does not hold: %+v", run.Report)
		}
		if rapid.Bool().Draw(t, "close") {
			_, err := s.reconcile.CloseRun(t.Context(), s.as(auth.RoleChiefAccountant), run.ID)
			s.refused(t, err, reconcile.ErrNotMatched)
		}
		for _, d := range s.model.dossiers {
			s.sync(t, d)
		}
	}
}

func (s *sequence) revoke(t *rapid.T) {
	list, _, err := s.reconcile.ListMatches(t.Context(), s.as(auth.RoleAccountant), reconcile.MatchFilter{})
	s.ok(t, err)
	m := one(t, list, "match")
	_, err = s.reconcile.RevokeMatch(t.Context(), s.as(auth.RoleAccountant), m.ID, "nhầm")
	s.refused(t, err, reconcile.ErrRevoked)
	for _, d := range s.model.dossiers {
		s.sync(t, d)
	}
}

// reprice puts another version of the policy into force and prices the past again.
func (s *sequence) reprice(t *rapid.T) {
	s.policy(t, "REDUCED", "LP_DKKD", fmt.Sprintf(`{"kind": "share_of_base", "numerator": %d, "denominator": 100}`, rapid.IntRange(0, 10).Draw(t, "tenths")*10))
	r, _, err := s.refunds.ProposeRepricing(t.Context(), s.as(auth.RoleAccountant), refunds.RepricingRequest{
		Policy: s.code + "-REDUCED", Period: dossiers.Period{From: s.today().AddDays(-rapid.IntRange(0, 9).Draw(t, "days")), To: s.today()}, Reason: "sai tỷ lệ",
	})
	s.ok(t, err)
	_, err = s.refunds.ApproveRepricing(t.Context(), s.as(auth.RoleChiefAccountant), r.ID)
	s.ok(t, err)
	s.ok(t, s.refunds.Reprice(t.Context(), s.code, r.ID))
	for _, d := range s.model.dossiers {
		s.sync(t, d)
	}
}

func (s *sequence) close(t *rapid.T) {
	date := s.today().AddDays(-rapid.IntRange(1, 6).Draw(t, "days ago"))
	s.ok(t, postgres.InTx(t.Context(), s.db.App, s.code, func(tx pgx.Tx) error {
		return ledger.CloseDay(t.Context(), tx, s.code, date, "key_chief", s.clock.Now())
	}))
	s.closed[date] = true
}

func (s *sequence) rollUpOrSeal(t *rapid.T) {
	switch rapid.IntRange(0, 2).Draw(t, "what") {
	case 0:
		_, err := s.ledger.RollUp(t.Context())
		s.ok(t, err)
	case 1:
		_, err := s.seal.Seal(t.Context(), s.code, rapid.IntRange(1, 3).Draw(t, "blocks"))
		s.ok(t, err)
	default:
		s.read(t, func(ctx context.Context, tx pgx.Tx) error {
			if found, err := seal.Check(ctx, tx, nil); err != nil || len(found) > 0 {
				t.Fatalf("the check of the seal found %q, %v", found, err)
			}
			return nil
		})
	}
}
