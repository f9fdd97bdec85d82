package registry_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
)

var now = time.Date(2025, 11, 7, 1, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

// seeded returns a database with the known authorities.
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

func store(t *testing.T, db *pgtest.DB, authority string, role auth.Role, expires, revoked *time.Time) auth.Credential {
	t.Helper()
	c, err := auth.DrawCredential(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hash := c.Hash()
	err = postgres.WriteTx(t.Context(), db.App, authority, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `
			insert into auth.api_key (id, authority, role, name, secret_hash, created_at, created_by, expires_at, revoked_at)
			values ($1, $2, $3, 'cổng dịch vụ công', $4, $5, 'operator', $6, null)`, c.KeyID(), authority, role, hash[:], now, expires)
		if err == nil && revoked != nil {
			_, err = tx.Exec(t.Context(), `update auth.api_key set revoked_at = $2 where id = $1`, c.KeyID(), revoked)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	db := seeded(t)
	s := registry.Service{DB: db.App, Now: clock}
	past, future := now.Add(-time.Hour), now.Add(time.Hour)

	for _, c := range []struct {
		authority string
		role      auth.Role
		expires   *time.Time
	}{{"H41", auth.RolePortal, nil}, {"H41", auth.RoleAuditor, &future}, {"H29", auth.RoleAdmin, nil}} {
		key := store(t, db, c.authority, c.role, c.expires, nil)
		got, err := s.Authenticate(t.Context(), key.Text())
		if err != nil {
			t.Fatal(err)
		}
		want := auth.Actor{Authority: c.authority, Role: c.role, ID: "key_" + key.KeyID()}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("actor (-got +want):\n%s", diff)
		}
	}

	good, other := store(t, db, "H41", auth.RolePortal, nil, nil), store(t, db, "H41", auth.RolePortal, nil, nil)
	unknown, err := auth.DrawCredential(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := good.Text()
	for name, bearer := range map[string]string{
		"nothing":            "",
		"no key":             "Bearer",
		"unknown":            unknown.Text(),
		"another's secret":   text[:len("ds_")+12] + other.Text()[len("ds_")+12:],
		"secret in capitals": text[:16] + strings.ToUpper(text[16:]),
		"cut":                text[:len(text)-1],
		"expired":            store(t, db, "H41", auth.RolePortal, &past, nil).Text(),
		"revoked":            store(t, db, "H41", auth.RolePortal, &future, &past).Text(),
	} {
		got, err := s.Authenticate(t.Context(), bearer)
		if diff := cmp.Diff(got, auth.Actor{}); diff != "" {
			t.Errorf("%s: actor (-got +want):\n%s", name, diff)
		}
		// The very same fault, text included: nothing tells which keys exist.
		if f, ok := fault.Of(err); !ok || f != auth.ErrUnauthenticated || err.Error() != auth.ErrUnauthenticated.Error() {
			t.Errorf("%s: got %v, want %v", name, err, auth.ErrUnauthenticated)
		}
	}
}

func TestABrokenLookUpDoesNotBlameTheKey(t *testing.T) {
	t.Parallel()
	db := seeded(t)
	key := store(t, db, "H41", auth.RolePortal, nil, nil)
	if _, err := db.Owner.Exec(t.Context(), `revoke execute on function auth.find_api_key(text) from doisoat_app`); err != nil {
		t.Fatal(err)
	}
	_, err := registry.Service{DB: db.App, Now: clock}.Authenticate(t.Context(), key.Text())
	if err == nil || errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("got %v, want an error that does not blame the key", err)
	}
	if strings.Contains(err.Error(), key.Text()[16:]) {
		t.Errorf("the error tells the secret: %v", err)
	}
}

// TestSetBounds: each bound changes alone, and one event tells each change.
func TestSetBounds(t *testing.T) {
	t.Parallel()
	db := seeded(t)
	owner := postgres.DB{Pool: db.Owner, Now: clock}
	for _, b := range []registry.Bounds{{DaysBack: 800}, {DaysBack: 800}, {MinutesAhead: 60}, {}} {
		if _, err := registry.SetBounds(t.Context(), owner, "H41", b, "a reason"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := registry.Service{DB: db.App, Now: clock}.FindAuthority(t.Context(), "H41")
	if err != nil || got.DaysBack != 800 || got.MinutesAhead != 60 {
		t.Errorf("got %+v, %v, want 800 days back and 60 minutes ahead", got, err)
	}
	for _, b := range []registry.Bounds{{DaysBack: -1}, {DaysBack: 36_501}, {MinutesAhead: -1}, {MinutesAhead: 1_441}} {
		if _, err := registry.SetBounds(t.Context(), owner, "H41", b, "a reason"); !errors.Is(err, registry.ErrBounds) {
			t.Errorf("%+v: got %v, want %v", b, err, registry.ErrBounds)
		}
	}
	if _, err := registry.SetBounds(
		t.Context(),
		owner,
		"H99",
		registry.Bounds{DaysBack: 1},
		"a reason",
	); !errors.Is(
		err,
		auth.ErrAuthorityNotFound,
	) {
		t.Errorf("H99: got %v, want %v", err, auth.ErrAuthorityNotFound)
	}
	var events []string
	err = postgres.ReadTx(t.Context(), db.App, "H41", func(tx pgx.Tx) error {
		rows, err := tx.Query(t.Context(), `
			select concat_ws(' ', actor_role, act, object_id, before ->> 'days_back', before ->> 'minutes_ahead',
				after ->> 'days_back', after ->> 'minutes_ahead', reason)
			from audit.event order by id`)
		if err != nil {
			return err
		}
		events, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	want := []string{"operator authority.bounds H41 400 5 800 5 a reason", "operator authority.bounds H41 800 5 800 60 a reason"}
	if diff := cmp.Diff(events, want); err != nil || diff != "" {
		t.Errorf("events %v (-got +want):\n%s", err, diff)
	}
	if _, err := registry.SetBounds(
		t.Context(),
		postgres.DB{Pool: db.App, Now: clock},
		"H41",
		registry.Bounds{DaysBack: 1},
		"x",
	); err == nil {
		t.Error("the application changed the bounds")
	}
}

func TestKeysOfAnotherAuthorityAreInvisible(t *testing.T) {
	t.Parallel()
	db := seeded(t)
	mine, other := store(t, db, "H41", auth.RolePortal, nil, nil), store(t, db, "H29", auth.RolePortal, nil, nil)
	for authority, want := range map[string][]string{"H41": {mine.KeyID()}, "H29": {other.KeyID()}, "H26": nil, "": nil} {
		err := postgres.WriteTx(t.Context(), db.App, authority, func(tx pgx.Tx) error {
			rows, err := tx.Query(t.Context(), `select id from auth.api_key`)
			if err != nil {
				return err
			}
			got, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return err
			}
			if diff := cmp.Diff(append([]string(nil), got...), want); diff != "" {
				t.Errorf("%q sees (-got +want):\n%s", authority, diff)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err := postgres.WriteTx(t.Context(), db.App, "H29", func(tx pgx.Tx) error {
		tag, err := tx.Exec(t.Context(), `update auth.api_key set revoked_at = now() where id = $1`, mine.KeyID())
		if err == nil && tag.RowsAffected() != 0 {
			t.Error("H29 revoked a key of H41")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, statement := range map[string]string{
		"a key for another authority": `insert into auth.api_key (id, authority, role, name, secret_hash, created_at, created_by)
			values ('000000000000', 'H41', 'admin', 'x', decode(repeat('00', 32), 'hex'), now(), 'x')`,
		"a key of another role": `update auth.api_key set role = 'admin'`,
		"another secret":        `update auth.api_key set secret_hash = decode(repeat('00', 32), 'hex')`,
		"deleting":              `delete from auth.api_key`,
		"a new authority":       `insert into auth.authority (code, name, level) values ('X1', 'x', 'law')`,
	} {
		err := postgres.WriteTx(t.Context(), db.App, "H29", func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), statement)
			return err
		})
		if err == nil {
			t.Errorf("%s: went through, want a refusal", name)
		}
	}
}

func TestAuthorities(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := registry.Service{DB: db.App, Now: clock}
	want, err := registry.KnownAuthorities()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second time changes nothing
		if err := registry.EnsureAuthorities(t.Context(), db.Owner, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.ListAuthorities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byCode := map[string]registry.Authority{}
	for _, a := range want {
		a.DaysBack, a.MinutesAhead = 400, 5 // the defaults
		byCode[a.Code] = a
	}
	gotByCode := map[string]registry.Authority{}
	for _, a := range got {
		if _, ok := byCode[a.Code]; ok { // a test database may bring its own
			gotByCode[a.Code] = a
		}
	}
	if diff := cmp.Diff(gotByCode, byCode); diff != "" {
		t.Errorf("authorities (-got +want):\n%s", diff)
	}

	found, err := s.FindAuthority(t.Context(), "H47")
	if err != nil {
		t.Fatal(err)
	}
	quangNam := registry.Authority{
		Code:         "H47",
		Name:         "Quảng Nam",
		Level:        "province",
		Successor:    "H17",
		ValidTo:      calendar.MustParse("2025-06-30"),
		DaysBack:     400,
		MinutesAhead: 5,
	}
	if diff := cmp.Diff(found, quangNam); diff != "" {
		t.Errorf("H47 (-got +want):\n%s", diff)
	}
	if _, err := s.FindAuthority(t.Context(), "H99"); !errors.Is(err, auth.ErrAuthorityNotFound) || fault.KindOf(err) != fault.NotFound {
		t.Errorf("got %v, want %v", err, auth.ErrAuthorityNotFound)
	}

	renamed := quangNam
	renamed.Name, renamed.Successor, renamed.ValidTo = "Quảng Nam (cũ)", "", calendar.Date{}
	if err := registry.EnsureAuthorities(t.Context(), db.Owner, []registry.Authority{renamed}); err != nil {
		t.Fatal(err)
	}
	if found, err = s.FindAuthority(t.Context(), "H47"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(found, renamed); diff != "" {
		t.Errorf("H47 after a change (-got +want):\n%s", diff)
	}
	// A setting stays until another one is named.
	if err := registry.EnsureAuthorities(t.Context(), db.Owner, registry.ReachingBack(want, 4000)); err != nil {
		t.Fatal(err)
	}
	if err := registry.EnsureAuthorities(t.Context(), db.Owner, want); err != nil {
		t.Fatal(err)
	}
	if found, err = s.FindAuthority(t.Context(), "H47"); err != nil || found.DaysBack != 4000 || found.MinutesAhead != 5 {
		t.Errorf("bounds of H47: got %d days back and %d minutes ahead, %v, want 4000 and 5", found.DaysBack, found.MinutesAhead, err)
	}
	if err := registry.EnsureAuthorities(t.Context(), db.App, want); err == nil {
		t.Error("the application's role changed authorities, want a refusal")
	}
}
