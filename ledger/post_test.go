package ledger_test

import (
	"errors"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
)

// Entries of every size, alone and together: few postings go as they are, many in arrays.
func TestPostKeepsWhatItWasGiven(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	dossier := uuid.Must(uuid.NewV7())
	var together []ledger.Entry
	for size := range 6 {
		want := captured(ngheAn, cause(size), 60_000, dossier)
		want.Postings = want.Postings[:2]
		for n := range size { // up to 12 postings
			more := captured(ngheAn, cause(size), int64(n+1), dossier).Postings
			want.Postings = append(want.Postings, more[:2]...)
		}
		last := &want.Postings[len(want.Postings)-1]
		last.Charge, last.FeeType, last.Policy = uuid.New(), "LP_DKKD", "NA-2023-60"
		last.Payment, last.Refund = uuid.New(), uuid.New()
		twin := want
		twin.Cause.ID = cause(100 + size)
		together = append(together, twin)
		want.ID = b.MustPost(want)[0]
		b.holds(want)
	}
	for i, id := range b.MustPost(together...) {
		together[i].ID = id
		b.holds(together[i])
	}
}

// holds fails when the book has not exactly this entry.
func (b book) holds(want ledger.Entry) {
	b.T.Helper()
	var got ledger.Entry
	err := b.InTx(ngheAn, func(tx pgx.Tx) (err error) {
		got, err = ledger.FindEntry(b.T.Context(), tx, want.ID)
		return err
	})
	if err != nil {
		b.T.Fatal(err)
	}
	if diff := cmp.Diff(got, want); diff != "" {
		b.T.Errorf("entry of %d postings (-got +want):\n%s", len(want.Postings), diff)
	}
}

func TestSameCauseIsOneEntry(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	e := captured(ngheAn, cause(1), 60_000, uuid.Nil)
	first := b.MustPost(e)
	e.Description, e.RecordedAt = "told again", now.AddDate(0, 0, 1)
	if diff := cmp.Diff(b.MustPost(e), first); diff != "" {
		t.Errorf("posted again (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(b.MustPost(e, captured(ngheAn, cause(2), 1, uuid.Nil), e)[:1], first); diff != "" {
		t.Errorf("posted again beside a new one (-got +want):\n%s", diff)
	}
	if got, want := b.Count(`select count(*) from ledger.entry`), 2; got != want {
		t.Errorf("entries: got %d, want %d", got, want)
	}
	for name, change := range map[string]func(*ledger.Entry){
		"amount":    func(e *ledger.Entry) { e.Postings = captured(ngheAn, cause(1), 60_001, uuid.Nil).Postings },
		"dimension": func(e *ledger.Entry) { e.Postings[0].Dossier = uuid.New() },
		"account":   func(e *ledger.Entry) { e.Postings[1].Account = ledger.ProvisionalPhi },
		"order":     func(e *ledger.Entry) { slices.Reverse(e.Postings) },
		"more":      func(e *ledger.Entry) { e.Postings = append(e.Postings, e.Postings...) },
	} {
		other := captured(ngheAn, cause(1), 60_000, uuid.Nil)
		change(&other)
		if _, err := b.Post(other); !errors.Is(err, ledger.ErrCauseReused) {
			t.Errorf("other %s: got %v, want ErrCauseReused", name, err)
		}
	}
	// Another authority has causes of its own.
	b.MustPost(captured(other, cause(1), 1, uuid.Nil))
}

func TestConcurrentPostsOfOneCauseMakeOneEntry(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	const writers = 10
	var (
		group sync.WaitGroup
		ids   = make([]ledger.EntryID, writers)
		errs  = make([]error, writers)
	)
	for i := range writers {
		group.Go(func() {
			list, err := b.Post(captured(ngheAn, cause(1), 60_000, uuid.Nil))
			if errs[i] = err; err == nil {
				ids[i] = list[0]
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if got := slices.Compact(ids); len(got) != 1 {
		t.Errorf("ids: got %v, want one", got)
	}
	if got, want := b.Count(`select count(*) from ledger.posting`), 4; got != want {
		t.Errorf("postings: got %d, want %d", got, want)
	}
}

func TestPostRefuses(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for name, tt := range map[string]struct {
		change func(*ledger.Entry)
		want   error
	}{
		"unbalanced": {func(e *ledger.Entry) { e.Postings[0].Amount = money.Dong(59_999) }, ledger.ErrUnbalanced},
		"memo off":   {func(e *ledger.Entry) { e.Postings = e.Postings[:3] }, ledger.ErrUnbalanced},
		"real against memo": {func(e *ledger.Entry) {
			e.Postings = []ledger.Posting{e.Postings[0], e.Postings[3]}
		}, ledger.ErrUnbalanced},
		"two currencies": {func(e *ledger.Entry) {
			e.Postings[0].Amount = money.Amount{Currency: "USD", Minor: 60_000}
		}, ledger.ErrUnbalanced},
		"overflow": {func(e *ledger.Entry) {
			for i := range e.Postings {
				e.Postings[i].Amount = money.Dong(math.MaxInt64)
			}
			e.Postings = append(e.Postings[:1], e.Postings...)
		}, money.ErrOverflow},
		"zero":            {func(e *ledger.Entry) { e.Postings[0].Amount = money.Dong(0) }, ledger.ErrMalformed},
		"negative":        {func(e *ledger.Entry) { e.Postings[0].Amount = money.Dong(-1) }, ledger.ErrMalformed},
		"no side":         {func(e *ledger.Entry) { e.Postings[0].Side = "" }, ledger.ErrMalformed},
		"one posting":     {func(e *ledger.Entry) { e.Postings = e.Postings[:1] }, ledger.ErrMalformed},
		"no cause":        {func(e *ledger.Entry) { e.Cause.ID = "" }, ledger.ErrMalformed},
		"no actor":        {func(e *ledger.Entry) { e.Actor = "" }, ledger.ErrMalformed},
		"no date":         {func(e *ledger.Entry) { e.BusinessDate = calendar.Date{} }, ledger.ErrMalformed},
		"too many":        {func(e *ledger.Entry) { e.Postings = slices.Repeat(e.Postings, 2501) }, ledger.ErrMalformed},
		"unknown account": {func(e *ledger.Entry) { e.Postings[0].Account = "A-CLR-" }, ledger.ErrOutsideChart},
	} {
		e := captured(ngheAn, cause(1), 60_000, uuid.Nil)
		tt.change(&e)
		if _, err := b.Post(e); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
	if got := b.Count(`select count(*) from ledger.entry`); got != 0 {
		t.Errorf("entries: got %d, want none", got)
	}
}

// All entries of one call are in the book, or none.
func TestPostIsAllOrNothing(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	b.MustPost(captured(ngheAn, cause(1), 1, uuid.Nil))
	_, err := b.Post(captured(ngheAn, cause(2), 2, uuid.Nil), captured(ngheAn, cause(1), 3, uuid.Nil))
	if !errors.Is(err, ledger.ErrCauseReused) {
		t.Errorf("got %v, want ErrCauseReused", err)
	}
	if got, want := b.Count(`select count(*) from ledger.entry`), 1; got != want {
		t.Errorf("entries: got %d, want %d", got, want)
	}
}

func TestReverse(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	original := captured(ngheAn, cause(1), 60_000, uuid.New())
	id := b.MustPost(original)[0]
	reverse := func(c ledger.Cause, reason string) (found ledger.EntryID, err error) {
		err = b.InTx(ngheAn, func(tx pgx.Tx) error {
			found, err = ledger.Reverse(t.Context(), tx, id, c, reason, accountant, day.AddDays(1), now)
			return err
		})
		return found, err
	}
	undo := ledger.Cause{Kind: "match", ID: "mat_1", Event: "revoked"}
	mirror, err := reverse(undo, "matched by mistake")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := reverse(undo, "matched by mistake"); err != nil || again != mirror {
		t.Errorf("reversed again: got %v, %v, want %v", again, err, mirror)
	}
	if _, err := reverse(ledger.Cause{Kind: "match", ID: "mat_2", Event: "revoked"}, "once more"); !errors.Is(err, ledger.ErrReversed) {
		t.Errorf("second reversal: got %v, want ErrReversed", err)
	}
	want := ledger.Entry{
		ID: mirror, Authority: ngheAn, BusinessDate: day.AddDays(1), RecordedAt: now, Cause: undo, Actor: accountant,
		Description: "reversal: capture by vnpay", Reverses: id, Reason: "matched by mistake",
	}
	for _, p := range original.Postings {
		if p.Side == ledger.Debit {
			want.Postings = append(want.Postings, ledger.Cr(p.Account, p.Amount, p.Dimensions))
		} else {
			want.Postings = append(want.Postings, ledger.Dr(p.Account, p.Amount, p.Dimensions))
		}
	}
	var got ledger.Entry
	err = b.InTx(ngheAn, func(tx pgx.Tx) (err error) {
		got, err = ledger.FindEntry(t.Context(), tx, mirror)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("mirror (-got +want):\n%s", diff)
	}
	if _, err := reverse(ledger.Cause{Kind: "match", ID: "mat_3", Event: "revoked"}, ""); err == nil {
		t.Error("a reversal without a reason was posted")
	}
	missing := captured(ngheAn, cause(9), 1, uuid.Nil)
	missing.Reverses, missing.Reason = ledger.EntryID(uuid.New()), "no such entry"
	if _, err := b.Post(missing); err == nil {
		t.Error("a reversal of no entry was posted")
	}
}

func TestTwoReversalsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	id := b.MustPost(captured(ngheAn, cause(1), 60_000, uuid.Nil))[0]
	errs := make([]error, 6)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			errs[i] = b.InTx(ngheAn, func(tx pgx.Tx) error {
				_, err := ledger.Reverse(
					t.Context(),
					tx,
					id,
					ledger.Cause{Kind: "match", ID: cause(i), Event: "revoked"},
					"twice",
					accountant,
					day,
					now,
				)
				return err
			})
		})
	}
	group.Wait()
	done := 0
	for _, err := range errs {
		switch {
		case err == nil:
			done++
		case !errors.Is(err, ledger.ErrReversed):
			t.Errorf("got %v, want ErrReversed", err)
		}
	}
	if done != 1 {
		t.Errorf("reversals: got %d, want 1", done)
	}
}
