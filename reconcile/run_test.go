package reconcile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/payments/paytest"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/statements"
	"github.com/doisoat/doisoat/statements/statementstest"
)

type entry struct {
	ref     string
	amount  int64
	content string
}

func csv(rows ...string) []byte { return statementstest.Settlement(terminal, rows...) }

func camt(account string, date calendar.Date, opening, closing int64, list ...entry) []byte {
	entries := make([]statementstest.Entry, len(list))
	for i, e := range list {
		entries[i] = statementstest.Entry{Ref: e.ref, Amount: e.amount, Content: e.content}
	}
	return statementstest.Bank(account, date, opening, closing, entries...)
}

// seen is what a statement answers about itself, in short.
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

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	run := w.Run(bank, day)
	tests := []struct {
		name string
		do   func() error
		want error
	}{
		{"run as chief", func() error { _, _, err := w.Reconcile.StartRun(ctx, chief, bank, day); return err }, auth.ErrForbidden},
		{"close as maker", func() error { _, err := w.Reconcile.CloseRun(ctx, accountant, run.ID); return err }, auth.ErrForbidden},
		{"unknown source", func() error {
			_, _, err := w.Reconcile.StartRun(ctx, accountant, "no", day)
			return err
		}, statements.ErrSourceNotFound},
		{"tomorrow", func() error { _, _, err := w.Reconcile.StartRun(ctx, accountant, bank, day.AddDays(1)); return err }, reconcile.ErrInvalid},
		{"run of another province", func() error {
			_, err := w.Reconcile.FindRun(ctx, auth.System("H26"), run.ID)
			return err
		}, reconcile.ErrRunNotFound},
	}
	for _, tt := range tests {
		if err := tt.do(); err == nil || !strings.HasPrefix(err.Error(), strings.SplitN(tt.want.Error(), ":", 2)[0]) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

// A settlement source of a provider whose money comes straight to the bank shows nothing: the bank's
// source alone accounts for these captures, and the runs of both sources end.
func TestSettlementSourceOfTransfers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, _, err := w.Files.RegisterSource(t.Context(), paytest.Admin,
		statements.SourceRequest{Code: "vietqr", Kind: statements.SettlementSource, Provider: "vietqr"})
	w.Must(err)
	w.Pay(w.Payment("vietqr", 60_000), "deliver")
	w.Clock.Advance(3 * 24 * time.Hour)
	for _, source := range []string{bank, "vietqr"} {
		w.Run(source, day)
	}
	same(t, "breaks of the bank", len(w.Breaks(bank)), 1)
	same(t, "breaks of the provider", w.Breaks("vietqr"), []string{})
}
