package replay_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

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
	"github.com/doisoat/doisoat/repricing/replay"
)

var (
	portal = auth.Actor{Authority: "H41", Role: auth.RolePortal, ID: "key_portal"}
	today  = time.Date(2026, 11, 20, 3, 0, 0, 123456789, time.UTC)
)

// Personal data of applicants.
const (
	name       = "Nguyễn Thị Hạnh Dung"
	identifier = "040190001234"
)

type office struct {
	*replay.Service
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
	filing := &dossiers.Service{DB: postgres.DB{Pool: db.App, Now: now}, Fees: norms, Secret: ring, Jobs: jobs}
	return office{&replay.Service{DB: postgres.DB{Pool: db.App, Now: now}, Fees: norms, Dossiers: filing}, db, t}
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
	d, created, err := o.Dossiers.Register(context.WithoutCancel(o.t.Context()), actor, r)
	if err != nil || !created {
		o.t.Fatalf("Register %s: created %t, %v", r.Code, created, err)
	}
	return d
}
