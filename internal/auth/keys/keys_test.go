package keys_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/keys"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
)

var (
	start = time.Date(2025, 11, 7, 1, 0, 0, 0, time.UTC)
	admin = auth.Actor{Authority: "H41", Role: auth.RoleAdmin, ID: "key_admin4100000"}
	never time.Time
)

// at returns both services with their clock at now.
func at(db *pgxpool.Pool, now time.Time) (keys.Service, registry.Service) {
	clock := func() time.Time { return now }
	return keys.Service{DB: postgres.DB{Pool: db, Now: clock}, Random: rand.Reader}, registry.Service{DB: db, Now: clock}
}

func seeded(t *testing.T) *pgtest.DB {
	t.Helper()
	db := pgtest.New(t)
	list, err := registry.KnownAuthorities()
	if err != nil {
		t.Fatal(err)
	}
	if err := registry.EnsureAuthorities(t.Context(), db.Owner, list); err != nil {
		t.Fatal(err)
	}
	return db
}

func create(t *testing.T, s keys.Service, actor auth.Actor, role auth.Role, name string, expires time.Time) (string, keys.Key) {
	t.Helper()
	text, key, err := s.CreateKey(t.Context(), actor, role, name, expires)
	if err != nil {
		t.Fatal(err)
	}
	return text, key
}

func TestAKeyFromBirthToRevocation(t *testing.T) {
	t.Parallel()
	db := seeded(t)
	s, sign := at(db.App, start)
	expires := start.Add(24 * time.Hour)

	text, key := create(t, s, admin, auth.RoleAccountant, "  phòng kế toán ", expires)
	want := keys.Key{
		ID: key.ID, Authority: "H41", Role: auth.RoleAccountant, Name: "phòng kế toán", CreatedAt: start, CreatedBy: admin.ID,
		ExpiresAt: &expires,
	}
	if diff := cmp.Diff(key, want); diff != "" {
		t.Errorf("key (-got +want):\n%s", diff)
	}
	got, err := sign.Authenticate(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, auth.Actor{Authority: "H41", Role: auth.RoleAccountant, ID: auth.KeyActorID(key.ID)}); diff != "" {
		t.Errorf("actor (-got +want):\n%s", diff)
	}

	later := start.Add(time.Hour)
	s, sign = at(db.App, later)
	revoked, err := s.RevokeKey(t.Context(), admin, key.ID, "lộ khóa")
	if err != nil {
		t.Fatal(err)
	}
	want.RevokedAt = &later
	if diff := cmp.Diff(revoked, want); diff != "" {
		t.Errorf("revoked key (-got +want):\n%s", diff)
	}
	if _, err := sign.Authenticate(t.Context(), text); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("revoked: got %v, want %v", err, auth.ErrUnauthenticated)
	}

	s, _ = at(db.App, later.Add(time.Hour))
	again, err := s.RevokeKey(t.Context(), admin, key.ID, "again")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(again, want); diff != "" {
		t.Errorf("revoked twice (-got +want):\n%s", diff)
	}
	trail(t, db, key.ID, []string{"key.create", "key.revoke"}, text)
}

// trail checks the acts on a key and that its secret is in none of them.
func trail(t *testing.T, db *pgtest.DB, id string, want []string, text string) {
	t.Helper()
	var acts []string
	var kept string
	err := db.Owner.QueryRow(t.Context(), `
		select array_agg(e.act order by e.at, e.id), string_agg(e::text, ' ') from audit.event e
		where e.authority = $1 and e.object_kind = 'api_key' and e.object_id = $2`, admin.Authority, id).Scan(&acts, &kept)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(acts, want); diff != "" {
		t.Errorf("acts (-got +want):\n%s", diff)
	}
	if secret := text[len(text)-43:]; strings.Contains(kept, secret) {
		t.Errorf("the trail holds the secret: %s", kept)
	}
}

func TestOnlyAHashIsKept(t *testing.T) {
	t.Parallel()
	db := seeded(t)
	s, _ := at(db.App, start)
	text, key := create(t, s, admin, auth.RolePortal, "cổng", never)
	rows, err := db.Owner.Query(t.Context(), `select k::text from auth.api_key k union all select e::text from audit.event e`)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("key made", "key", key)
	secret := text[len(text)-43:]
	for _, s := range append(kept, log.String(), fmt.Sprintf("%+v %#v", key, key)) {
		if strings.Contains(s, secret) {
			t.Errorf("the secret is kept or printed: %s", s)
		}
	}
	if len(kept) != 2 {
		t.Errorf("got %d rows, want a key and an event", len(kept))
	}
}

func TestTwoLiveKeysOfANameAtMost(t *testing.T) {
	t.Parallel()
	db := seeded(t)
	s, _ := at(db.App, start)
	const clients = 6
	results := make([]error, clients)
	made := make([]keys.Key, clients)
	var wait sync.WaitGroup
	for i := range clients {
		wait.Go(func() {
			_, made[i], results[i] = s.CreateKey(t.Context(), admin, auth.RolePortal, "cổng", start.Add(time.Hour))
		})
	}
	wait.Wait()
	var live []keys.Key
	for i, err := range results {
		switch {
		case err == nil:
			live = append(live, made[i])
		case !errors.Is(err, keys.ErrTooMany):
			t.Errorf("got %v, want %v", err, keys.ErrTooMany)
		}
	}
	if len(live) != keys.MaxLive {
		t.Fatalf("%d at once: got %d keys, want %d", clients, len(live), keys.MaxLive)
	}
	// Another name, role or authority counts for itself.
	create(t, s, admin, auth.RolePortal, "cổng 2", never)
	create(t, s, admin, auth.RoleAuditor, "cổng", never)
	create(t, s, auth.Operator("H29"), auth.RolePortal, "cổng", never)
	// A revoked key makes room, and so do expired ones.
	if _, err := s.RevokeKey(t.Context(), admin, live[0].ID, ""); err != nil {
		t.Fatal(err)
	}
	create(t, s, admin, auth.RolePortal, "cổng", start.Add(time.Hour))
	s, _ = at(db.App, start.Add(time.Hour))
	create(t, s, admin, auth.RolePortal, "cổng", never)
	create(t, s, admin, auth.RolePortal, "cổng", never)
	if _, _, err := s.CreateKey(t.Context(), admin, auth.RolePortal, "cổng", never); !errors.Is(err, keys.ErrTooMany) {
		t.Errorf("got %v, want %v", err, keys.ErrTooMany)
	}
}

func TestListKeysOfOneAuthority(t *testing.T) {
	t.Parallel()
	db := seeded(t)
	s, _ := at(db.App, start)
	_, first := create(t, s, admin, auth.RolePortal, "a", never)
	_, other := create(t, s, auth.Operator("H29"), auth.RolePortal, "b", never)
	s, _ = at(db.App, start.Add(time.Minute))
	_, second := create(t, s, admin, auth.RoleAdmin, "c", never)
	for actor, want := range map[auth.Actor][]keys.Key{
		admin: {first, second}, auth.Operator("H29"): {other}, auth.Operator("H26"): {},
	} {
		got, err := s.ListKeys(t.Context(), actor)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("keys of %s (-got +want):\n%s", actor.Authority, diff)
		}
	}
	if _, err := s.RevokeKey(t.Context(), admin, other.ID, ""); !errors.Is(err, keys.ErrKeyNotFound) || fault.KindOf(err) != fault.NotFound {
		t.Errorf("key of another authority: got %v, want %v", err, keys.ErrKeyNotFound)
	}
	if got := (keys.Key{RevokedAt: &start}); got.Live(start) {
		t.Error("a revoked key is live")
	}
}

func TestCreateKeyRefuses(t *testing.T) {
	t.Parallel()
	db := seeded(t)
	s, _ := at(db.App, start)
	for name, c := range map[string]struct {
		role    auth.Role
		name    string
		expires time.Time
		want    []fault.Field
	}{
		"system":  {auth.RoleSystem, "x", never, []fault.Field{{Pointer: "/role", Detail: "no role that a key can have"}}},
		"no name": {auth.RolePortal, "  ", never, []fault.Field{{Pointer: "/name", Detail: "1 to 100 bytes"}}},
		"all": {"root", strings.Repeat("x", 101), start, []fault.Field{
			{Pointer: "/role", Detail: "no role that a key can have"},
			{Pointer: "/name", Detail: "1 to 100 bytes"},
			{Pointer: "/expires_at", Detail: "must lie in the future"},
		}},
	} {
		_, _, err := s.CreateKey(t.Context(), admin, c.role, c.name, c.expires)
		f, ok := fault.Of(err)
		if !ok || !errors.Is(err, keys.ErrInvalid) {
			t.Errorf("%s: got %v, want %v", name, err, keys.ErrInvalid)
			continue
		}
		if diff := cmp.Diff(f.Fields, c.want); diff != "" {
			t.Errorf("%s: fields (-got +want):\n%s", name, diff)
		}
	}
}

func TestKeysNeedTheRight(t *testing.T) {
	t.Parallel()
	db := seeded(t)
	s, _ := at(db.App, start)
	_, key := create(t, s, auth.Operator("H41"), auth.RoleAdmin, "first", never)
	for _, role := range append(auth.KeyRoles(), auth.RoleOperator, auth.RoleSystem) {
		actor := auth.Actor{Authority: "H41", Role: role, ID: "key_x"}
		_, _, createErr := s.CreateKey(t.Context(), actor, auth.RolePortal, "of "+string(role), never)
		_, revokeErr := s.RevokeKey(t.Context(), actor, key.ID, "")
		_, listErr := s.ListKeys(t.Context(), actor)
		for act, got := range map[auth.Permission][]error{auth.PermKeysWrite: {createErr, revokeErr}, auth.PermKeysRead: {listErr}} {
			for _, err := range got {
				if allowed := auth.Allowed(role, act); (err == nil) != allowed || (err != nil && !errors.Is(err, auth.ErrForbidden)) {
					t.Errorf("%s, %s: got %v, want allowed %t", role, act, err, allowed)
				}
			}
		}
	}
}

// Not even by SQL does a revoked key sign in again.
func TestRevokedForGood(t *testing.T) {
	t.Parallel()
	db := seeded(t)
	s, _ := at(db.App, start)
	_, key := create(t, s, admin, auth.RolePortal, "cổng", never)
	if _, err := s.RevokeKey(t.Context(), admin, key.ID, "lộ khóa"); err != nil {
		t.Fatal(err)
	}
	_, err := db.Owner.Exec(t.Context(), `update auth.api_key set revoked_at = null`)
	if got, want := postgres.Constraint(err), "api_key_revoked_for_good"; got != want {
		t.Errorf("revive: got %v, want %s", err, want)
	}
}
