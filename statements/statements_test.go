package statements_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doisoat/doisoat/internal/auth"
	parsed "github.com/doisoat/doisoat/providers/statements"
	"github.com/doisoat/doisoat/statements"
)

// seen holds the fields of a statement that the test compares.
type seen struct {
	Status                   statements.Status
	Accepted, Known, Refused int
	Problems                 []string
}

func short(st statements.Statement) seen {
	s := seen{Status: st.Status, Accepted: st.RowsAccepted, Known: st.RowsKnown, Refused: st.RowsRefused}
	for _, p := range st.Problems {
		s.Problems = append(s.Problems, fmt.Sprintf("%d %s", p.Row, p.Code))
	}
	return s
}

func TestIngest(t *testing.T) {
	t.Parallel()
	ok := "DSAAAAAAAAAA,1001,PAYMENT,,100000,500,50,99450,SETTLED,B-1"
	tests := []struct {
		name, source string
		content      []byte
		want         seen
	}{
		{"settlement", settlement, csv(ok), seen{Status: statements.Accepted, Accepted: 1}},
		{"two equal rows are two rows", settlement, csv(ok, ok), seen{Status: statements.Accepted, Accepted: 2}},
		{
			"wrong total", settlement, append(csv(ok), []byte("Tổng cộng,1,,,,,100001,500,50,99450,,,\n")...),
			seen{Status: statements.Rejected, Problems: []string{"3 total_mismatch"}},
		},
		{
			"wrong net", settlement, csv(ok, "DSBBBBBBBBBB,1002,PAYMENT,,100000,500,50,99451,SETTLED,B-1"),
			seen{Status: statements.Partial, Accepted: 2, Problems: []string{"3 row_net_mismatch"}},
		},
		{"bank", bank, camt(account, 10, 110, entry{"F1", 100, "a"}), seen{Status: statements.Accepted, Accepted: 1}},
		{
			"balance does not add up", bank, camt(account, 10, 111, entry{"F1", 100, "a"}),
			seen{Status: statements.Rejected, Refused: 1, Problems: []string{"0 balance_mismatch"}},
		},
		{
			"another account", bank, camt("999", 10, 110, entry{"F1", 100, "a"}),
			seen{Status: statements.Rejected, Refused: 1, Problems: []string{"0 wrong_account"}},
		},
		{
			"cut off", bank, camt(account, 10, 110, entry{"F1", 100, "a"})[:700],
			seen{Status: statements.Rejected, Problems: []string{"0 broken_xml"}},
		},
		{
			"settlement given as bank", bank, csv(ok),
			seen{Status: statements.Rejected, Refused: 1, Problems: []string{"0 wrong_format", "0 wrong_account"}},
		},
		{"nothing", bank, nil, seen{Status: statements.Rejected, Problems: []string{"0 empty_file"}}},
	}
	w := newWorld(t)
	for _, tt := range tests {
		same(t, tt.name+", dry", short(dry(w, tt.source, tt.content)), tt.want)
	}
	same(t, "statements after dry runs", w.count(`select count(*) from reconcile.statement`), 0)
	for i, tt := range tests {
		content := bytes.ReplaceAll(tt.content, []byte("DVCTEST1"), fmt.Appendf(nil, "DVCTEST%d", i)) // lines of their own
		got := short(w.ingest(tt.source, content))
		got.Known = 0
		same(t, tt.name, got, tt.want)
	}
	same(t, "statements", w.count(`select count(*) from reconcile.statement`), len(tests))
	same(t, "lines", w.count(`select count(*) from reconcile.statement_line`), 6)
	same(t, "clear text of files and contents", w.count(`
		select count(*) from reconcile.statement s left join reconcile.statement_line l on l.statement_id = s.id
		where position('Ntry'::bytea in s.file) > 0 or position('BANK'::bytea in s.file) > 0
			or position('"content"'::bytea in l.content) > 0`), 0)
}

func dry(w *world, source string, content []byte) statements.Statement {
	w.t.Helper()
	st, err := w.Ingest(w.t.Context(), accountant, source, "f", content, true, "")
	w.ok(err)
	if !st.ID.IsZero() {
		w.t.Errorf("dry run: got id %s, want none", st.ID)
	}
	return st
}

func TestIngestAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := entry{"F1", 100, "tien le phi"}, entry{"F2", 50, "nop ho so"}
	morning := camt(account, 0, 100, one)
	first := w.ingest(bank, morning)
	again := w.ingest(bank, morning)
	if again.ID != first.ID || again.DuplicateOf != first.ID || again.Status != statements.Duplicate {
		t.Errorf("same bytes: got %s of %s, %s, want the first", again.ID, again.DuplicateOf, again.Status)
	}
	// The whole day repeats the morning, whose equal entry came twice meanwhile.
	whole := w.ingest(bank, camt(account, 0, 250, one, one, two))
	same(t, "overlap", short(whole), seen{Status: statements.Accepted, Accepted: 3, Known: 1})
	lines, next, err := w.ListLines(t.Context(), accountant, whole.ID, statements.LineID{}, 1)
	w.ok(err)
	if len(lines) != 1 || next.IsZero() || lines[0].Content != one.content || lines[0].Status != statements.LineOpen {
		t.Errorf("first page: got %+v, next %s", lines, next)
	}
	lines, next, err = w.ListLines(t.Context(), accountant, whole.ID, next, 1)
	w.ok(err)
	if len(lines) != 1 || !next.IsZero() || lines[0].Content != two.content {
		t.Errorf("second page: got %+v, next %s", lines, next)
	}
	found, err := w.Find(t.Context(), accountant, whole.ID)
	w.ok(err)
	opening, closing := int64(0), int64(250)
	same(t, "totals", found.Totals, []statements.ControlTotal{{
		Account: account, Currency: "VND", From: day, To: day, Opening: &opening, Closing: &closing, Entries: 3, SumCredit: 250,
		BalanceCheck: parsed.CheckOK,
	}})
	list, _, err := w.List(t.Context(), accountant, bank, statements.ID{}, 0)
	w.ok(err)
	same(t, "list", len(list), 2)
	if _, err := w.Ingest(t.Context(), accountant, bank, "f", camt(account, 0, 1, entry{"F7", 1, ""}), false, "key-1"); err != nil {
		t.Error(err)
	}
	_, err = w.Ingest(t.Context(), accountant, bank, "f", camt(account, 0, 2, entry{"F8", 2, ""}), false, "key-1")
	if !statements.ErrKeyReused.Is(err) {
		t.Errorf("key for other bytes: got %v, want %v", err, statements.ErrKeyReused)
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	tests := []struct {
		name string
		do   func() error
		want error
	}{
		{"ingest as portal", func() error { _, err := w.Ingest(ctx, portal, bank, "f", nil, false, ""); return err }, auth.ErrForbidden},
		{"source as accountant", func() error {
			_, _, err := w.RegisterSource(ctx, accountant, statements.SourceRequest{})
			return err
		}, auth.ErrForbidden},
		{"file of an unknown source", func() error {
			_, err := w.Ingest(ctx, accountant, "no", "f", nil, false, "")
			return err
		}, statements.ErrSourceNotFound},
		{"source with other content", func() error {
			_, _, err := w.RegisterSource(ctx, admin, statements.SourceRequest{Code: bank, Kind: statements.BankSource, Account: "1"})
			return err
		}, statements.ErrSourceExists},
		{"source without its account", func() error {
			_, _, err := w.RegisterSource(ctx, admin, statements.SourceRequest{Code: "x", Kind: statements.BankSource})
			return err
		}, statements.ErrInvalid},
	}
	for _, tt := range tests {
		if err := tt.do(); err == nil || !strings.HasPrefix(err.Error(), strings.SplitN(tt.want.Error(), ":", 2)[0]) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	_, created, err := w.RegisterSource(ctx, admin, statements.SourceRequest{Code: bank, Kind: statements.BankSource, Account: account})
	if err != nil || created {
		t.Errorf("same source again: created %t, %v", created, err)
	}
	list, _, err := w.ListSources(ctx, accountant, "", 0)
	if err != nil || len(list) != 2 {
		t.Errorf("sources: got %d, %v, want 2", len(list), err)
	}
}

// More files than the process has memory for wait for their turn, or until the caller gives up.
func TestFilesAreReadAFewAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range cap(statements.Reading) {
		statements.Reading <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := w.Ingest(ctx, accountant, bank, "a.xml", camt(account, 0, 1, entry{"F1", 1, "x"}), false, "")
	for range cap(statements.Reading) {
		<-statements.Reading
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with no place free: got %v, want %v", err, context.DeadlineExceeded)
	}
	if st := w.ingest(bank, camt(account, 0, 1, entry{"F1", 1, "x"})); st.Status != statements.Accepted {
		t.Errorf("with places free: got %s, want accepted", st.Status)
	}
}

// Two sources of the same money would count it twice.
func TestSourcesDoNotOverlap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, r := range []statements.SourceRequest{
		{Code: "again", Kind: statements.BankSource, Account: account},
		{Code: "again", Kind: statements.SettlementSource, Provider: "vnpay"},
		{Code: "again", Kind: statements.SettlementSource, Provider: "vnpay", Account: terminal},
	} {
		if _, _, err := w.RegisterSource(t.Context(), admin, r); !statements.ErrSourceOverlaps.Is(err) {
			t.Errorf("%+v: got %v, want %v", r, err, statements.ErrSourceOverlaps)
		}
	}
	for i, r := range []statements.SourceRequest{
		{Kind: statements.SettlementSource, Provider: "momo", Account: "A"},
		{Kind: statements.SettlementSource, Provider: "momo", Account: "B"},
		{Kind: statements.BankSource, Account: "1"},
	} {
		r.Code = fmt.Sprintf("more-%d", i)
		_, created, err := w.RegisterSource(t.Context(), admin, r)
		w.ok(err)
		same(t, "created", created, true)
	}
}
