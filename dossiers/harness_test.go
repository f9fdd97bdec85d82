package dossiers_test

import (
	"context"
	"encoding/hex"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
	"github.com/doisoat/doisoat/internal/secret"
)

var (
	portal  = auth.Actor{Authority: "H41", Role: auth.RolePortal, ID: "key_portal"}
	auditor = auth.Actor{Authority: "H41", Role: auth.RoleAuditor, ID: "key_auditor"}
	today   = time.Date(2026, 11, 20, 3, 0, 0, 123456789, time.UTC)
)

// Personal data that must be found nowhere in clear.
const (
	name       = "Nguyễn Thị Hạnh Dung"
	identifier = "040190001234"
)

type office struct {
	*dossiers.Service
	*pgtest.DB
	t testing.TB
}

func newOffice(t testing.TB) office {
	t.Helper()
	db := pgtest.New(t)
	known, err := registry.KnownAuthorities()
	if err != nil {
		t.Fatal(err)
	}
	if err := registry.EnsureAuthorities(t.Context(), db.Owner, registry.ReachingBack(known, 5000)); err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return today }
	norms := &fees.Service{DB: postgres.DB{Pool: db.App, Now: now}}
	if _, err := norms.LoadFeeTypes(t.Context(), auth.Operator("BTC"), schedule.Catalogue().FeeTypes); err != nil {
		t.Fatal(err)
	}
	file, err := schedule.ParseFile(schedule.DemoPolicies())
	if err != nil {
		t.Fatal(err)
	}
	for _, owner := range file.Owners() {
		if _, err := norms.LoadPolicies(t.Context(), auth.Operator(owner), file.OwnedBy(owner)); err != nil {
			t.Fatal(err)
		}
	}
	ring, err := secret.Create(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := river.NewClient(riverpgxv5.New(db.App), &river.Config{Schema: "river", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return office{&dossiers.Service{DB: postgres.DB{Pool: db.App, Now: now}, Fees: norms, Secret: ring, Jobs: jobs}, db, t}
}

// registration asks for the business household fee of NA-2023-60, on its first day.
func registration() dossiers.Registration {
	base := int64(100_000)
	return dossiers.Registration{
		Authority: "H41", Code: "H41.12-231107-0001", Agency: "H41.12", Channel: "online", ServiceLevel: "toan_trinh",
		SubmittedAt: time.Date(2023, 11, 7, 9, 0, 0, 987654321, time.FixedZone("", 7*3600)),
		Applicant:   dossiers.Applicant{Name: name, Identifier: identifier},
		Items:       []quote.ItemRequest{{FeeType: "LP_DKKD", Base: &base}},
	}
}

func (o office) register(r dossiers.Registration) dossiers.Dossier {
	o.t.Helper()
	actor := portal
	actor.Authority = r.Authority
	d, created, err := o.Register(context.WithoutCancel(o.t.Context()), actor, r)
	if err != nil || !created {
		o.t.Fatalf("Register %s: created %t, %v", r.Code, created, err)
	}
	return d
}

// rows asks the owner for one column of text.
func (o office) rows(query string, args ...any) []string {
	o.t.Helper()
	found, err := o.Owner.Query(context.WithoutCancel(o.t.Context()), query, args...)
	if err != nil {
		o.t.Fatal(err)
	}
	list, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		o.t.Fatal(err)
	}
	return list
}

// postings lists an entry as "side account amount", in order.
func (o office) postings(kind string) []string {
	o.t.Helper()
	return o.rows(`select p.side || ' ' || a.code || ' ' || p.amount || coalesce(' ' || p.policy, '') from ledger.posting p
		join ledger.account a on a.id = p.account_id join ledger.entry e on e.id = p.entry_id
		where e.cause_kind = $1 order by e.recorded_at, e.id, p.line`, kind)
}

// leaks looks through every row of every table for words, as text and as bytes.
func (o office) leaks(words ...string) []string {
	o.t.Helper()
	var found []string
	for _, table := range o.rows(`select format('%I.%I', schemaname, tablename) from pg_catalog.pg_tables
		where schemaname not in ('pg_catalog', 'information_schema')`) {
		for _, row := range o.rows("select t::text from " + table + " t") {
			for _, word := range words {
				if strings.Contains(row, word) || strings.Contains(row, hex.EncodeToString([]byte(word))) {
					found = append(found, table+" holds "+word)
				}
			}
		}
	}
	return found
}
