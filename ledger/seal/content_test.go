package seal_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
)

// A seal binds the posted content: Check also finds a change that was made before the seal.
func TestChangeBeforeTheSealIsFound(t *testing.T) {
	t.Parallel()
	for change, changed := range map[string]string{
		`update ledger.posting set amount = amount + 1 where line < 3 and entry_id = $1`: "posting 1 of entry %s",
		`update ledger.entry set description = 'forged' where id = $1`:                   "entry %s",
	} {
		want := changed + " of block 1, place 1, differs from its seal"
		b := newBook(t, 4)
		ids := b.postMany(ngheAn, 0, 3)
		b.force(change, ids[1])
		b.mustSeal(ngheAn)
		if got := b.check(ngheAn); len(got) != 1 || got[0] != fmt.Sprintf(want, ids[1]) {
			t.Errorf("%s: got %q, want %q", change, got, fmt.Sprintf(want, ids[1]))
		}
	}
}

// Post hashes an entry exactly as the book then holds it, whichever statement wrote it. A wrong hash would make the
// seal wrong for ever.
func TestContentIsWhatTheBookHolds(t *testing.T) {
	t.Parallel()
	b := newBook(t, 64)
	n := 0
	draw := func(t *rapid.T) ledger.Entry {
		n++
		text := rapid.StringN(0, 12, -1).Filter(func(s string) bool { return !strings.Contains(s, "\x00") })
		id := func(name string) uuid.UUID {
			if rapid.Bool().Draw(t, name) {
				return uuid.New()
			}
			return uuid.Nil
		}
		e := ledger.Entry{
			Authority:    ngheAn,
			BusinessDate: day.AddDays(rapid.IntRange(-4_000, 4_000).Draw(t, "day")),
			RecordedAt:   now.Add(time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "nanoseconds"))),
			Actor:        "a" + text.Draw(t, "actor"),
			Description:  text.Draw(t, "description"),
			Reason:       text.Draw(t, "reason"),
			Cause: ledger.Cause{
				Kind:  "k" + text.Draw(t, "kind"),
				ID:    fmt.Sprint(n, text.Draw(t, "id")),
				Event: "e" + text.Draw(t, "event"),
			},
		}
		for range rapid.IntRange(1, 6).Draw(t, "pairs") {
			about := ledger.Dimensions{
				Dossier: id("dossier"), Payment: id("payment"), Refund: id("refund"), Charge: id("charge"),
				FeeType: text.Draw(t, "fee type"), Policy: text.Draw(t, "policy"),
			}
			amount := money.Dong(rapid.Int64Range(1, 1e12).Draw(t, "amount"))
			debit, credit := ledger.Clearing("c"+fmt.Sprint(n%5)), ledger.ProvisionalPhi
			if rapid.Bool().Draw(t, "memo") {
				debit, credit = ledger.MemoCollected, ledger.MemoReceivable
			}
			e.Postings = append(
				e.Postings,
				ledger.Dr(debit, amount, about),
				ledger.Cr(credit, amount, ledger.Dimensions{Policy: about.Policy}),
			)
		}
		return e
	}
	rapid.Check(t, func(t *rapid.T) {
		list := make([]ledger.Entry, rapid.IntRange(1, 4).Draw(t, "entries"))
		for i := range list {
			list[i] = draw(t)
		}
		reverse := rapid.Bool().Draw(t, "reverse")
		err := postgres.WriteTx(b.t.Context(), b.App, ngheAn, func(tx pgx.Tx) error {
			ids, err := ledger.Post(b.t.Context(), tx, list...)
			if err == nil && reverse {
				_, err = ledger.Reverse(
					b.t.Context(),
					tx,
					ids[0],
					ledger.Cause{Kind: "k", ID: ids[0].String(), Event: "reversed"},
					"sai",
					"a",
					day,
					now,
				)
			}
			return err
		})
		if err != nil {
			t.Fatalf("Post: %v", err)
		}
	})
	b.mustSeal(ngheAn)
	if got := b.check(ngheAn); len(got) > 0 {
		t.Errorf("Check: %v", got)
	}
}
