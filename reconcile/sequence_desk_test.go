package reconcile_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/cases"
	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger/days"
	"github.com/doisoat/doisoat/ledger/seal"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/remittance"
	"github.com/doisoat/doisoat/repricing"
	"github.com/doisoat/doisoat/repricing/replay"
)

// The events of the finance desk.

func (s *sequence) proposeVoucher(t *rapid.T) {
	split := one(t, s.splits, "split")
	kind := rapid.SampledFrom([]remittance.VoucherKind{remittance.ToWaiting, remittance.BudgetPhi, remittance.BudgetLePhi}).Draw(t, "kind")
	s.serial++
	q := remittance.VoucherRequest{
		Kind: kind, Account: bank, Number: fmt.Sprintf("GNT-%06d", s.serial), DocumentDate: s.today(), Treasury: "KBNN",
	}
	if kind == remittance.BudgetPhi && rapid.Bool().Draw(t, "from the waiting account") {
		q.Account = ""
	}
	v, _, err := s.remittance.Propose(t.Context(), s.as(auth.RoleAccountant), split.id, q)
	if s.refused(t, err, remittance.ErrStatus, remittance.ErrNothing) {
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
	if !s.refused(t, err, remittance.ErrStatus, remittance.ErrChanged, remittance.ErrNothing) {
		before := s.transit
		s.move(split, v)
		s.ordered(before, v.Number, v.ID.String())
	}
}

// run brings a file of some day in and reconciles up to a day; it may find
// money that no message told of, and refunds that are done.
func (s *sequence) run(source string) func(t *rapid.T) {
	return func(t *rapid.T) {
		date := s.today().AddDays(-rapid.SampledFrom([]int{0, 0, 0, 1, 2, 3}).Draw(t, "days ago"))
		upto := s.today().AddDays(-rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "up to days ago"))
		s.runOf(t, source, date, upto, rapid.Bool().Draw(t, "close"))
	}
}

func (s *sequence) runOf(t *rapid.T, source string, file, date calendar.Date, closes bool) {
	_, err := s.ingest.Ingest(t.Context(), s.as(auth.RoleAccountant), source, source+".txt", s.file(t, source, file), false, "")
	s.ok(t, err)
	run, _, err := s.reconcile.StartRun(t.Context(), s.as(auth.RoleAccountant), source, date)
	s.ok(t, err)
	if !run.Holds() {
		t.Fatalf("the identity of the run does not hold: %+v", run.Report)
	}
	if closes {
		_, err := s.reconcile.CloseRun(t.Context(), s.as(auth.RoleChiefAccountant), run.ID)
		s.refused(t, err, reconcile.ErrNotMatched)
	}
	s.syncAll(t)
}

func (s *sequence) syncAll(t *rapid.T) {
	for _, d := range s.model.dossiers {
		s.sync(t, d)
	}
}

func (s *sequence) revoke(t *rapid.T) {
	list, _, err := s.desk.ListMatches(t.Context(), s.as(auth.RoleAccountant), cases.MatchFilter{})
	s.ok(t, err)
	m := one(t, list, "match")
	_, err = s.desk.RevokeMatch(t.Context(), s.as(auth.RoleAccountant), m.ID, "nhầm")
	s.refused(t, err, cases.ErrRevoked, cases.ErrIdentified)
	s.syncAll(t)
}

// reprice puts another version of a policy into force and prices the past again.
func (s *sequence) reprice(t *rapid.T) {
	name, tenths := rapid.SampledFrom([]string{"REDUCED", "SUBSIDY"}).Draw(t, "policy"), rapid.IntRange(0, 10).Draw(t, "tenths")
	if name == "REDUCED" {
		s.policy(t, name, "LP_DKKD", fmt.Sprintf(`{"kind": "share_of_base", "numerator": %d, "denominator": 10}`, tenths), always)
	} else {
		s.policy(t, name, "P_CONG_BO_DN", fmt.Sprintf(
			`{"kind": "subsidy", "payer_share": {"numerator": %d, "denominator": 10}, "funder": "ngân sách tỉnh"}`, tenths), always)
	}
	r, _, err := s.repricing.Propose(t.Context(), s.as(auth.RoleAccountant), repricing.Request{
		Policy: s.code + "-" + name,
		Period: replay.Period{From: s.today().AddDays(-rapid.IntRange(0, 9).Draw(t, "days")), To: s.today()}, Reason: "sai tỷ lệ",
	})
	s.ok(t, err)
	_, err = s.repricing.Approve(t.Context(), s.as(auth.RoleChiefAccountant), r.ID)
	s.ok(t, err)
	s.ok(t, s.repricing.Reprice(t.Context(), s.code, r.ID))
	s.syncAll(t)
}

// correctAndDivide prices again, before or after a split, and divides what the
// payers of some corrections have paid or not.
func (s *sequence) correctAndDivide(t *rapid.T) {
	nextDay := func() {
		s.clock.advance(24 * time.Hour)
		s.splitUpTo(t, s.today().AddDays(-1))
	}
	if rapid.Bool().Draw(t, "divided first") {
		nextDay()
	}
	s.reprice(t)
	for _, d := range s.model.dossiers {
		corrected := slices.ContainsFunc(d.charges, func(c *modelCharge) bool { return c.first != c && c.outstanding() > 0 })
		if before := len(s.checkouts); corrected && rapid.Bool().Draw(t, "the payer pays") {
			if s.checkout(t, d); len(s.checkouts) > before {
				s.handOverFor(t, s.checkouts[before:], "paid")
			}
		}
	}
	nextDay()
}

// priceByDay works a job that the report of a day queued; the second time nothing happens.
func (s *sequence) priceByDay(t *rapid.T) {
	rows, err := s.db.Owner.Query(t.Context(), `select args from river.river_job where kind = $1 and args->>'authority' = $2 order by id`,
		dossiers.PriceAgain{}.Kind(), s.code)
	s.ok(t, err)
	jobs, err := pgx.CollectRows(rows, pgx.RowTo[dossiers.PriceAgain])
	s.ok(t, err)
	a := one(t, jobs, "job")
	d := s.of(a.Dossier)
	var owed, refundable [2]int64
	for i := range owed {
		s.ok(t, s.repricing.PriceAgain(t.Context(), a.Authority, a.Dossier, a.Day))
		s.sync(t, d)
		owed[i], refundable[i] = d.outstanding(), d.refundable()
	}
	if owed[0] != owed[1] || refundable[0] != refundable[1] {
		t.Fatalf("dossier %s priced by its day once and twice: %d are owed, %d refundable", d.code, owed, refundable)
	}
}

func (s *sequence) close(t *rapid.T) {
	date := s.today().AddDays(-rapid.IntRange(1, 6).Draw(t, "days ago"))
	s.ok(t, postgres.WriteTx(t.Context(), s.db.App, s.code, func(tx pgx.Tx) error {
		return days.Close(t.Context(), postgres.Act{Tx: tx, Actor: auth.Actor{Authority: s.code, ID: "key_chief"}, Now: s.clock.Now()}, date)
	}))
	s.closed[date] = true
}

// closeByTwo closes the runs of a day, and then two people the day.
func (s *sequence) closeByTwo(t *rapid.T) {
	date := s.today().AddDays(-rapid.IntRange(1, 3).Draw(t, "days ago"))
	for _, source := range []string{settlement, bank} {
		s.runOf(t, source, date, date, true)
	}
	s.changeDay(t, date, days.Closing)
}

// reopen is two people's, too: what is late comes to its own day then.
func (s *sequence) reopen(t *rapid.T) {
	s.changeDay(t, one(t, slices.SortedFunc(maps.Keys(s.closed), calendar.Date.Compare), "date"), days.Reopening)
}

// changeDay proposes unless a proposal for the date waits, and decides about that, or leaves it for another time.
func (s *sequence) changeDay(t *rapid.T, date calendar.Date, change days.Change) {
	p, waits := s.undecided[date]
	if !waits {
		var err error
		q := days.Request{Date: date, Change: change, Reason: "chứng từ muộn"}
		p, _, err = s.reconcile.ProposeDay(t.Context(), s.as(auth.RoleAccountant), q)
		if s.refused(t, err, reconcile.ErrDayOpen, days.ErrSame) {
			return
		}
		s.undecided[date] = p
	}
	decision := rapid.SampledFrom([]days.Status{days.Approved, days.Approved, days.Approved, days.Rejected, ""}).Draw(t, "decision")
	if decision == "" {
		return
	}
	_, err := s.reconcile.DecideDay(t.Context(), s.as(auth.RoleChiefAccountant), date, p.ID, decision, "")
	if s.refused(t, err, reconcile.ErrDayOpen, days.ErrSame) {
		return
	}
	delete(s.undecided, date)
	switch {
	case decision == days.Rejected:
	case p.Change == days.Closing:
		s.closed[date] = true
	default:
		delete(s.closed, date)
	}
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
