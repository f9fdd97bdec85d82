package ledger_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
)

func (b book) correct(c ledger.Correction) (id ledger.EntryID, err error) {
	c.Actor, c.Now = accountant, now
	if c.Reason == "" {
		c.Reason = "the amount was read wrongly"
	}
	err = b.inTx(ngheAn, func(tx pgx.Tx) (err error) {
		id, err = ledger.Correct(b.t.Context(), tx, c)
		return err
	})
	return id, err
}

func because(n int) ledger.Cause {
	return ledger.Cause{Kind: "case", ID: strconv.Itoa(n), Event: "resolved"}
}

func TestCorrectionCarriesTheDifference(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	s := &ledger.Service{DB: b.App}
	dossier := uuid.Must(uuid.NewV7())
	was, should := captured(ngheAn, cause(1), 60_000, dossier), captured(ngheAn, cause(1), 45_000, dossier)
	should.Postings[1].Account = ledger.ProvisionalPhi // and it was phí
	id := b.mustPost(was)[0]
	if err := b.closeDay(ngheAn, day); err != nil {
		t.Fatal(err)
	}
	c := ledger.Correction{Of: id, Should: should.Postings, Cause: because(1), Date: day}
	if _, err := b.correct(c); !errors.Is(err, ledger.ErrDayClosed) {
		t.Errorf("on the closed day: got %v, want ErrDayClosed", err)
	}
	c.Date = day.AddDays(1)
	made, err := b.correct(c)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.FindEntry(t.Context(), reader, made)
	if err != nil {
		t.Fatal(err)
	}
	about := ledger.Dimensions{Dossier: dossier}
	want := ledger.Entry{
		ID: made, Authority: ngheAn, BusinessDate: day.AddDays(1), RecordedAt: now, Cause: because(1), Actor: accountant,
		Description: "correction: capture by vnpay", Corrects: id, Reason: "the amount was read wrongly",
		Postings: []ledger.Posting{
			ledger.Cr(ledger.Clearing("vnpay"), money.Dong(15_000), about),
			ledger.Dr(ledger.ProvisionalLePhi, money.Dong(60_000), about),
			ledger.Cr(ledger.MemoCollected, money.Dong(15_000), about),
			ledger.Dr(ledger.MemoReceivable, money.Dong(15_000), about),
			ledger.Cr(ledger.ProvisionalPhi, money.Dong(45_000), about),
		},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("adjustment (-got +want):\n%s", diff)
	}
	if again, err := b.correct(c); err != nil || again != made {
		t.Errorf("again: got %v, %v, want %v", again, err, made)
	}
	c.Cause = because(2)
	if _, err := b.correct(c); !errors.Is(err, ledger.ErrNothingToCorrect) {
		t.Errorf("nothing left: got %v, want ErrNothingToCorrect", err)
	}
	undo := func(of ledger.EntryID, n int) error {
		return b.inTx(ngheAn, func(tx pgx.Tx) error {
			_, err := ledger.Reverse(t.Context(), tx, of, because(n), "why", accountant, day.AddDays(1), now)
			return err
		})
	}
	if err := undo(id, 3); !errors.Is(err, ledger.ErrCorrected) {
		t.Errorf("reverse what is corrected: got %v, want ErrCorrected", err)
	}
	if err := undo(made, 4); err != nil {
		t.Fatal(err)
	}
	if _, err := b.correct(c); err != nil { // what was undone can be said again
		t.Errorf("correct again: %v", err)
	}
	if got := b.problems(ngheAn); len(got) != 0 {
		t.Errorf("Check: %q", got)
	}
}

func TestCorrectionRefused(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	ids := b.mustPost(captured(ngheAn, cause(1), 10, uuid.Nil), captured(ngheAn, cause(2), 20, uuid.Nil))
	foreign := b.mustPost(captured(other, cause(1), 10, uuid.Nil))[0]
	made, err := b.correct(ledger.Correction{Of: ids[0], Cause: because(1), Date: day})
	if err != nil {
		t.Fatal(err)
	}
	var mirror ledger.EntryID
	err = b.inTx(ngheAn, func(tx pgx.Tx) (err error) {
		mirror, err = ledger.Reverse(t.Context(), tx, ids[1], because(2), "why", accountant, day, now)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		of   ledger.EntryID
		n    int
		want error
	}{
		"another authority's": {foreign, 10, ledger.ErrEntryNotFound},
		"none":                {ledger.EntryID{1}, 11, ledger.ErrEntryNotFound},
		"a correction":        {made, 12, ledger.ErrMalformed},
		"a reversal":          {mirror, 13, ledger.ErrMalformed},
		"a reversed entry":    {ids[1], 14, ledger.ErrReversed},
		"a cause of another":  {ids[0], 2, ledger.ErrCauseReused},
		"nothing left":        {ids[0], 15, ledger.ErrNothingToCorrect},
	} {
		_, err := b.correct(ledger.Correction{Of: test.of, Cause: because(test.n), Date: day})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	// The database refuses it also of who does not ask.
	for _, of := range []ledger.EntryID{foreign, made, mirror, {1}} {
		e := captured(ngheAn, "direct", 10, uuid.Nil)
		e.Corrects, e.Reason = of, "why"
		if _, err := b.post(e); postgres.Constraint(err) != "entry_corrects_known" {
			t.Errorf("corrects %v: got %v, want the constraint entry_corrects_known", of, err)
		}
	}
}

// Corrections of one entry at once: each builds on the one before, and the last one holds.
func TestCorrectionsTakeTurns(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := b.mustPost(captured(ngheAn, cause(1), 1000, uuid.Nil))[0]
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			if _, err := b.correct(ledger.Correction{Of: id, Should: captured(ngheAn, "", 500, uuid.Nil).Postings, Cause: because(n), Date: day}); err != nil && !errors.Is(err, ledger.ErrNothingToCorrect) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	list, err := (&ledger.Service{DB: b.App}).ListBalances(t.Context(), reader, ledger.BalanceQuery{Account: ledger.ProvisionalLePhi})
	if err != nil || len(list) != 1 || list[0].Balance() != 500 {
		t.Errorf("got %+v, %v, want a balance of 500", list, err)
	}
}

// While an entry is being corrected, what corrected it before cannot be
// reversed: the new difference counts on it.
func TestReversalOfACorrectionTakesItsTurn(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := b.mustPost(captured(ngheAn, cause(1), 1000, uuid.Nil))[0]
	to := func(n int, minor int64) ledger.Correction {
		return ledger.Correction{
			Of: id, Should: captured(ngheAn, "", minor, uuid.Nil).Postings, Cause: because(n), Reason: "why", Actor: accountant, Date: day, Now: now,
		}
	}
	first, err := b.correct(to(1, 500))
	if err != nil {
		t.Fatal(err)
	}
	err = b.inTx(ngheAn, func(tx pgx.Tx) error {
		if _, err := ledger.Correct(t.Context(), tx, to(2, 300)); err != nil {
			return err
		}
		err := b.inTx(ngheAn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `set local lock_timeout = '50ms'`); err != nil {
				return err
			}
			_, err := ledger.Reverse(t.Context(), tx, first, because(3), "why", accountant, day, now)
			return err
		})
		if refusal(err) != pgerrcode.LockNotAvailable {
			t.Errorf("reversed meanwhile: got %v, want to wait", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// is + Difference(is, should) = should, whatever they are.
func TestDifference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		is, should := group(t), group(t)
		difference, err := ledger.Difference(is, should)
		if err != nil {
			t.Fatal(err)
		}
		left, err := ledger.Difference(append(is, difference...), should)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) != 0 {
			t.Fatalf("got %v left, want nothing", left)
		}
		for _, p := range difference {
			if !p.Amount.IsPositive() {
				t.Fatalf("got %v, want amounts above zero", p)
			}
		}
	})
}
