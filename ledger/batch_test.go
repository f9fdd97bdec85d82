package ledger_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/ledger"
)

// One bad entry among many in one commit is named, and nothing is written.
func TestBatchNamesTheBadEntry(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	first := b.MustPost(captured(ngheAn, cause(100), 5_000, uuid.Nil))[0]
	if _, err := b.Owner.Exec(t.Context(), `insert into ledger.day_event (authority, business_date, number, change, at, approved_by)
		values ('H41', '2026-01-02', 0, 'close', now(), 'key_1')`); err != nil {
		t.Fatal(err)
	}
	if err := b.InTx(ngheAn, func(tx pgx.Tx) error {
		_, err := ledger.Reverse(
			t.Context(),
			tx,
			first,
			ledger.Cause{Kind: "capture", ID: cause(100), Event: "reversed"},
			"wrong",
			accountant,
			day,
			now,
		)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	mirror := captured(ngheAn, cause(101), 5_000, uuid.Nil)
	mirror.Reverses, mirror.Reason = first, "again"
	unbalanced := captured(ngheAn, cause(102), 5_000, uuid.Nil)
	unbalanced.Postings = unbalanced.Postings[:3]
	closed := captured(ngheAn, cause(103), 5_000, uuid.Nil)
	closed.BusinessDate = calendar.MustParse("2026-01-02")
	before := b.Count(`select count(*) from ledger.entry`)
	for name, tt := range map[string]struct {
		bad  ledger.Entry
		want *fault.Error
	}{
		"unbalanced":       {unbalanced, ledger.ErrUnbalanced},
		"closed day":       {closed, ledger.ErrDayClosed},
		"reversed already": {mirror, ledger.ErrReversed},
		"cause reused":     {captured(ngheAn, cause(100), 7_000, uuid.Nil), ledger.ErrCauseReused},
		"unknown account": {func() ledger.Entry {
			e := captured(ngheAn, cause(104), 5_000, uuid.Nil)
			e.Postings[0].Account = "A-NOWHERE"
			return e
		}(), ledger.ErrOutsideChart},
	} {
		entries := make([]ledger.Entry, 50)
		for i := range entries {
			entries[i] = captured(ngheAn, cause(i), 1_000, uuid.Nil)
		}
		entries[31] = tt.bad
		_, err := b.Post(entries...)
		f, ok := fault.Of(err)
		if !ok || !tt.want.Is(f) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
			continue
		}
		want := []fault.Field{{Pointer: "/entries/31", Detail: fmt.Sprintf("entry for capture %s captured", tt.bad.Cause.ID)}}
		if diff := cmp.Diff(f.Fields, want); diff != "" {
			t.Errorf("%s, what it points at (-got +want):\n%s", name, diff)
		}
		if got := b.Count(`select count(*) from ledger.entry`); got != before {
			t.Errorf("%s: got %d entries, want still %d", name, got, before)
		}
	}
}

// New accounts, known causes and new entries may come together.
func TestBatchMixesNewAndKnown(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	known := b.MustPost(captured(ngheAn, cause(1), 1_000, uuid.Nil))[0]
	fresh := captured(ngheAn, cause(2), 2_000, uuid.Nil)
	fresh.Postings[0].Account = ledger.Clearing("another")
	got := b.MustPost(captured(ngheAn, cause(1), 1_000, uuid.Nil), fresh, fresh)
	if got[0] != known || got[1] != got[2] || got[1] == known {
		t.Errorf("ids: got %v, want the known one, then the new one twice", got)
	}
	if got := b.Count(`select count(*) from ledger.posting`); got != 8 {
		t.Errorf("postings: got %d, want 8", got)
	}
}
