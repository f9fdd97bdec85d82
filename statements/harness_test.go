package statements_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
	"github.com/doisoat/doisoat/internal/secret"
	"github.com/doisoat/doisoat/statements"
	"github.com/doisoat/doisoat/statements/statementstest"
)

const (
	province   = "H41"
	terminal   = "DVCTEST1"
	account    = "116002680669"
	settlement = "vnpay-h41"
	bank       = "vcb-h41"
)

var (
	portal     = auth.Actor{Authority: province, Role: auth.RolePortal, ID: "key_portal"}
	accountant = auth.Actor{Authority: province, Role: auth.RoleAccountant, ID: "key_accountant"}
	admin      = auth.Actor{Authority: province, Role: auth.RoleAdmin, ID: "key_admin"}
	day        = calendar.MustParse("2024-05-02")
)

// world is a province with a provider and a bank account as sources.
type world struct {
	*statements.Service
	t  *testing.T
	db *pgtest.DB
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: pgtest.New(t)}
	known, err := registry.KnownAuthorities()
	w.ok(err)
	w.ok(registry.EnsureAuthorities(t.Context(), w.db.Owner, registry.ReachingBack(known, 5000)))
	ring, err := secret.Create(filepath.Join(t.TempDir(), "keys.json"))
	w.ok(err)
	now := func() time.Time { return time.Date(2024, 5, 2, 3, 0, 0, 0, time.UTC) }
	w.Service = &statements.Service{DB: postgres.DB{Pool: w.db.App, Now: now}, Secret: ring}
	for _, r := range []statements.SourceRequest{
		{Code: settlement, Kind: statements.SettlementSource, Provider: "vnpay"},
		{Code: bank, Kind: statements.BankSource, Account: account},
	} {
		_, created, err := w.RegisterSource(t.Context(), admin, r)
		w.ok(err)
		same(t, "source created", created, true)
	}
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) ingest(source string, content []byte) statements.Statement {
	w.t.Helper()
	st, err := w.Ingest(w.t.Context(), accountant, source, source+".txt", content, false, "")
	w.ok(err)
	return st
}

func (w *world) count(query string, args ...any) (n int) {
	w.t.Helper()
	w.ok(w.db.Owner.QueryRow(w.t.Context(), query, args...).Scan(&n))
	return n
}

func same[T any](t *testing.T, name string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("%s (-got +want):\n%s", name, diff)
	}
}

type entry struct {
	ref     string
	amount  int64
	content string
}

func csv(rows ...string) []byte { return statementstest.Settlement(terminal, rows...) }

func camt(account string, opening, closing int64, list ...entry) []byte {
	entries := make([]statementstest.Entry, len(list))
	for i, e := range list {
		entries[i] = statementstest.Entry{Ref: e.ref, Amount: e.amount, Content: e.content}
	}
	return statementstest.Bank(account, day, opening, closing, entries...)
}
