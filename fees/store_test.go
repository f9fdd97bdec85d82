package fees_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
)

var now = time.Date(2025, 8, 1, 3, 0, 0, 0, time.UTC)

func newStore(t *testing.T) (fees.Service, *pgtest.DB) {
	t.Helper()
	db := pgtest.New(t)
	known, err := registry.KnownAuthorities()
	if err != nil {
		t.Fatal(err)
	}
	if err := registry.EnsureAuthorities(t.Context(), db.Owner, registry.ReachingBack(known, 5000)); err != nil {
		t.Fatal(err)
	}
	return fees.Service{DB: postgres.DB{Pool: db.App, Now: func() time.Time { return now }}}, db
}

// seed loads the catalogue and the demo policies, each by its owner.
func seed(t *testing.T, s fees.Service) {
	t.Helper()
	if _, err := s.LoadFeeTypes(t.Context(), auth.Operator("BTC"), schedule.Catalogue().FeeTypes); err != nil {
		t.Fatalf("LoadFeeTypes: %v", err)
	}
	file := demoFile(t)
	for _, owner := range file.Owners() {
		if _, err := s.LoadPolicies(t.Context(), auth.Operator(owner), file.OwnedBy(owner)); err != nil {
			t.Fatalf("LoadPolicies of %s: %v", owner, err)
		}
	}
}

func scheduleOf(t *testing.T, s fees.Service, territory, on string) quote.Schedule {
	t.Helper()
	var got quote.Schedule
	err := postgres.ReadTx(t.Context(), s.DB.Pool, territory, func(tx pgx.Tx) (err error) {
		got, err = s.Schedule(context.WithoutCancel(t.Context()), tx, territory, calendar.MustParse(on))
		return err
	})
	if err != nil {
		t.Fatalf("Schedule: %v", err)
	}
	return got
}

// The stored schedule prices as the file does, for every example of every policy.
func TestScheduleFromStorePricesLikeTheFile(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	seed(t, s)
	got := scheduleOf(t, s, "H41", "2025-08-01")
	ids := []string{}
	for _, p := range got.Policies {
		ids = append(ids, p.ID)
	}
	want := []string{"HT-2014-EX", "NA-2023-60", "NA-2025-00", "TT47-DKDN", "TT63-GPLX", "TT63-PP", "TT64-2025"}
	if diff := cmp.Diff(ids, want); diff != "" {
		t.Errorf("policies of H41 (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(got.FeeTypes, schedule.Catalogue().FeeTypes); diff != "" {
		t.Errorf("fee types (-got +want):\n%s", diff)
	}
	for _, p := range demoFile(t).Policies {
		for _, c := range quote.CheckPolicy(&p, scheduleOf(t, s, p.Territory[0], "2025-08-01")) {
			if !c.OK && p.Territory[0] != schedule.Everywhere && p.Cases[c.Case].Territory == "" {
				t.Errorf("%s case %d: %s", c.Policy, c.Case, c.Why)
			}
		}
	}
}

func TestLoadIsRepeatable(t *testing.T) {
	t.Parallel()
	s, db := newStore(t)
	file := demoFile(t)
	owner, mine := auth.Operator("H41"), file.OwnedBy("H41")
	for _, want := range []fees.Recorded{{New: 2}, {Unchanged: 2}} {
		got, err := s.LoadPolicies(t.Context(), owner, mine)
		if err != nil || got != want {
			t.Fatalf("LoadPolicies = %+v, %v, want %+v", got, err, want)
		}
	}
	// Only the layout changes: no new version.
	spaced := mine[0]
	spaced.Document = append([]byte(" \n"), spaced.Document...)
	if got, err := s.LoadPolicies(t.Context(), owner, []schedule.Policy{spaced}); err != nil || got != (fees.Recorded{Unchanged: 1}) {
		t.Errorf("spaced: %+v, %v", got, err)
	}
	changed, err := schedule.ParsePolicy(
		[]byte(`{"id":"NA-2023-60","status":"draft","authority":{"code":"H41","level":"province"},"territory":["H41"],
		"legal_basis":{"number":null},"scope":{"mode":"all_under_authority"},"effect":{"kind":"exempt"}}`),
	)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.LoadPolicies(t.Context(), owner, []schedule.Policy{changed}); err != nil || got != (fees.Recorded{Changed: 1}) {
		t.Errorf("changed: %+v, %v", got, err)
	}
	found, err := s.FindPolicy(t.Context(), auth.System("H26"), "NA-2023-60")
	if err != nil || found.Policy.Version != 2 || found.Policy.Status != schedule.Draft || !found.RecordedAt.Equal(now) {
		t.Errorf("FindPolicy = %+v, %v, want version 2, draft", found, err)
	}
	var events int
	recorded := `select count(*) from audit.event where authority = 'H41' and act = 'policy.record'`
	if err := db.Owner.QueryRow(t.Context(), recorded).Scan(&events); err != nil ||
		events != 3 {
		t.Errorf("%d audit events, %v, want 3", events, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	seed(t, s)
	file := demoFile(t)
	parse := func(text string) []schedule.Policy {
		p, err := schedule.ParsePolicy([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return []schedule.Policy{p}
	}
	policy := func(id, authority, level, territory string) []schedule.Policy {
		return parse(
			`{"id":"` + id + `","status":"draft","authority":{"code":"` + authority + `","level":"` + level + `"},"territory":["` + territory + `"],
			"scope":{"mode":"all_under_authority"},"effect":{"kind":"exempt"}}`,
		)
	}
	tests := []struct {
		name  string
		actor auth.Actor
		list  []schedule.Policy
		want  error
	}{
		{"wrong role", auth.Actor{Authority: "H41", Role: auth.RoleAccountant, ID: "key_x"}, file.OwnedBy("H41"), auth.ErrForbidden},
		{"not its own", auth.Operator("H26"), file.OwnedBy("H41"), fees.ErrOwner},
		{"territory of another", auth.Operator("H41"), policy("X-1", "H41", "province", "H26"), fees.ErrOwner},
		{"province as ministry", auth.Operator("H41"), policy("X-2", "H41", "central", "*"), fees.ErrOwner},
		{"id of another", auth.Operator("H26"), policy("NA-2025-00", "H26", "province", "H26"), fees.ErrOwner},
		{
			"twice in one load",
			auth.Operator("H41"),
			append(policy("X-3", "H41", "province", "H41"), policy("X-3", "H41", "province", "H41")...),
			schedule.ErrDocument,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := s.LoadPolicies(t.Context(), tt.actor, tt.list); !errors.Is(err, tt.want) {
				t.Errorf("LoadPolicies = %v, want %v", err, tt.want)
			}
		})
	}
	if _, err := s.LoadPolicies(t.Context(), auth.Operator("H17"), file.OwnedBy("H17")); err != nil {
		t.Errorf("a merged territory is its successor's: %v", err)
	}
	if _, err := s.LoadFeeTypes(t.Context(), auth.Operator("H41"), schedule.Catalogue().FeeTypes[:1]); !errors.Is(err, fees.ErrOwner) {
		t.Errorf("national fee types by a province: %v, want %v", err, fees.ErrOwner)
	}
	if _, err := s.FindPolicy(t.Context(), auth.System("H41"), "NONE"); !errors.Is(err, fees.ErrNotFound) {
		t.Errorf("FindPolicy = %v, want %v", err, fees.ErrNotFound)
	}
}

func TestProvinceHidesNationalFeeType(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	seed(t, s)
	base := int64(90000)
	own := schedule.FeeType{
		Code: "LP_DKKD", Name: "Lệ phí đăng ký kinh doanh", Territory: "H41", Kind: schedule.LePhi,
		SetBy: schedule.SetByCouncil, CollectedBy: schedule.CollectedLocal,
		Rates: []schedule.Rate{{Base: &base, ValidFrom: calendar.MustParse("2025-01-01")}},
	}
	if _, err := s.LoadFeeTypes(t.Context(), auth.Operator("H41"), []schedule.FeeType{own}); err != nil {
		t.Fatalf("LoadFeeTypes: %v", err)
	}
	for territory, want := range map[string]int64{"H41": 90000, "H56": 100000} {
		q, err := quote.Price(
			quote.Request{
				Authority:   territory,
				Channel:     schedule.Direct,
				SubmittedAt: now,
				Items:       []quote.ItemRequest{{FeeType: "LP_DKKD"}},
			},
			scheduleOf(t, s, territory, "2025-08-01"),
		)
		if err != nil || q.Due.Minor != want {
			t.Errorf("%s: due %v, %v, want %d", territory, q.Due, err, want)
		}
	}
}

func TestListPolicies(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	seed(t, s)
	actor := auth.System("H41")
	type answer struct {
		IDs  []string
		Next string
	}
	list := func(owner, after string, limit int) answer {
		found, next, err := s.ListPolicies(t.Context(), actor, owner, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		a := answer{Next: next}
		for _, p := range found {
			a.IDs = append(a.IDs, p.Policy.ID)
		}
		return a
	}
	all := len(demoFile(t).Policies)
	if got := list("", "", page.Max); len(got.IDs) != all || got.Next != "" {
		t.Errorf("%d policies and next %q, want %d and none", len(got.IDs), got.Next, all)
	}
	if diff := cmp.Diff(list("BTC", "", 2), answer{[]string{"TT47-DKDN", "TT63-GPLX"}, "TT63-GPLX"}); diff != "" {
		t.Errorf("first page (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(list("BTC", "TT63-GPLX", 2), answer{IDs: []string{"TT63-PP", "TT64-2025"}}); diff != "" {
		t.Errorf("second page, which is full and the last (-got +want):\n%s", diff)
	}
	types, err := s.ListFeeTypes(t.Context(), actor, "H41")
	if err != nil || len(types) != 21 {
		t.Errorf("%d fee types, %v, want 21", len(types), err)
	}
}

// The walls hold without the Go code: the application's role cannot change a
// recorded norm, nor record one for another authority.
func TestDatabaseRefuses(t *testing.T) {
	t.Parallel()
	s, db := newStore(t)
	seed(t, s)
	for name, tt := range map[string]struct{ sql, code string }{
		"update":          {`update fees.policy_version set status = 'draft'`, "42501"},
		"delete":          {`delete from fees.policy_version`, "42501"},
		"other authority": {`insert into fees.policy (id, authority, recorded_at) values ('X', 'H26', now())`, "42501"},
		"other's policy": {`insert into fees.policy_version select policy, 9, 'H41', status, territory, legal_basis, valid_from, ` +
			`valid_to, document, sha, recorded_at, recorded_by from fees.policy_version where policy = 'HN-2023-00'`, "23503"},
	} {
		err := postgres.WriteTx(t.Context(), db.App, "H41", func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), tt.sql)
			return err
		})
		var pg interface{ SQLState() string }
		if !errors.As(err, &pg) || pg.SQLState() != tt.code {
			t.Errorf("%s: %v, want SQLSTATE %s", name, err, tt.code)
		}
	}
	if _, err := db.Owner.Exec(t.Context(), `update fees.policy_version set status = 'draft'`); postgres.Constraint(err) != "append_only" {
		t.Errorf("update by the owner: %v, want append_only", err)
	}
}
