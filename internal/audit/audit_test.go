package audit_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
)

var (
	now     = time.Date(2025, 11, 7, 1, 0, 0, 0, time.UTC)
	maker   = auth.Actor{Authority: "H41", Role: auth.RoleAccountant, ID: "key_accountant41"}
	checker = auth.Actor{Authority: "H41", Role: auth.RoleChiefAccountant, ID: "key_chief4100000"}
)

type state struct {
	Status string `json:"status"`
	Amount int64  `json:"amount"`
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

func record(t *testing.T, db *pgtest.DB, authority string, events ...audit.Event) error {
	t.Helper()
	return postgres.WriteTx(t.Context(), db.App, authority, func(tx pgx.Tx) error {
		return audit.RecordAll(t.Context(), tx, events)
	})
}

// recorded is one event as the table keeps it.
type recorded struct {
	At         time.Time
	Authority  string
	ActorRole  auth.Role
	ActorID    string
	Act        string
	ObjectKind string
	ObjectID   string
	Before     json.RawMessage
	After      json.RawMessage
	Reason     string
}

// trail reads the events of one object as an authority sees them, oldest first.
func trail(t *testing.T, db *pgtest.DB, authority, kind, object string) (list []recorded) {
	t.Helper()
	err := postgres.ReadTx(t.Context(), db.App, authority, func(tx pgx.Tx) error {
		found, err := tx.Query(t.Context(), `
			select at, authority, actor_role, actor_id, act, object_kind, object_id, before, after, reason
			from audit.event where object_kind = $1 and object_id = $2 order by at, id`, kind, object)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(found, pgx.RowToStructByName[recorded])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// compact undoes the spelling that jsonb gives to a document.
var compact = cmp.Transformer("compact", func(raw json.RawMessage) any {
	if raw == nil {
		return nil
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return err.Error()
	}
	return v
})

func TestRecordedEventsAreKept(t *testing.T) {
	t.Parallel()
	db := seeded(t)
	var nobody *state
	err := record(t, db, "H41",
		audit.Event{
			Actor: maker, At: now, Act: "refund.request", ObjectKind: "refund", ObjectID: "ref_1", Before: nobody,
			After: state{"requested", 50000}, Reason: "hồ sơ không được tiếp nhận",
		},
		audit.Event{
			Actor: checker, At: now.Add(time.Minute), Act: "refund.approve", ObjectKind: "refund", ObjectID: "ref_1",
			Before: &state{"requested", 50000}, After: map[string]any{"status": "approved"},
		},
		audit.Event{Actor: maker, At: now, Act: "refund.request", ObjectKind: "refund", ObjectID: "ref_2"},
		audit.Event{Actor: maker, At: now, Act: "payment.create", ObjectKind: "payment", ObjectID: "ref_1"},
	)
	if err != nil {
		t.Fatal(err)
	}
	got := trail(t, db, "H41", "refund", "ref_1")
	want := []recorded{
		{
			At: now, Authority: "H41", ActorRole: maker.Role, ActorID: maker.ID, Act: "refund.request", ObjectKind: "refund", ObjectID: "ref_1",
			After: json.RawMessage(`{"status":"requested","amount":50000}`), Reason: "hồ sơ không được tiếp nhận",
		},
		{
			At: now.Add(time.Minute), Authority: "H41", ActorRole: checker.Role, ActorID: checker.ID, Act: "refund.approve", ObjectKind: "refund",
			ObjectID: "ref_1", Before: json.RawMessage(`{"status":"requested","amount":50000}`), After: json.RawMessage(`{"status":"approved"}`),
		},
	}
	if diff := cmp.Diff(got, want, compact); diff != "" {
		t.Errorf("trail (-got +want):\n%s", diff)
	}
	if got := trail(t, db, "H29", "refund", "ref_1"); len(got) != 0 {
		t.Errorf("another authority: got %v, want nothing", got)
	}
}

func TestNoEventsIsFine(t *testing.T) {
	t.Parallel()
	if err := audit.RecordAll(t.Context(), nil, nil); err != nil {
		t.Errorf("got %v, want nothing done", err)
	}
}

func TestIncompleteEventsAreRefused(t *testing.T) {
	t.Parallel()
	whole := audit.Event{Actor: maker, At: now, Act: "a", ObjectKind: "k", ObjectID: "1"}
	for name, spoil := range map[string]func(e *audit.Event){
		"no authority": func(e *audit.Event) { e.Actor.Authority = "" },
		"no role":      func(e *audit.Event) { e.Actor.Role = "" },
		"no actor":     func(e *audit.Event) { e.Actor.ID = "" },
		"no time":      func(e *audit.Event) { e.At = time.Time{} },
		"no act":       func(e *audit.Event) { e.Act = "" },
		"no kind":      func(e *audit.Event) { e.ObjectKind = "" },
		"no object":    func(e *audit.Event) { e.ObjectID = "" },
	} {
		e := whole
		spoil(&e)
		if err := audit.Record(t.Context(), nil, e); !errors.Is(err, audit.ErrIncomplete) {
			t.Errorf("%s: got %v, want %v", name, err, audit.ErrIncomplete)
		}
	}
	unwritable := whole
	unwritable.After = func() {}
	if err := audit.Record(t.Context(), nil, unwritable); err == nil {
		t.Error("a function as after: got no error")
	}
}

func TestAnEventGoesWithItsTransaction(t *testing.T) {
	t.Parallel()
	db := seeded(t)
	failed := errors.New("the act failed")
	err := postgres.WriteTx(t.Context(), db.App, "H41", func(tx pgx.Tx) error {
		if err := audit.Record(t.Context(), tx, audit.Event{Actor: maker, At: now, Act: "a", ObjectKind: "k", ObjectID: "1"}); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if got := trail(t, db, "H41", "k", "1"); len(got) != 0 {
		t.Errorf("got %v, want nothing", got)
	}
}

func TestTheTrailIsAppendOnlyAndApart(t *testing.T) {
	t.Parallel()
	db := seeded(t)
	event := audit.Event{Actor: maker, At: now, Act: "a", ObjectKind: "k", ObjectID: "1"}
	if err := record(t, db, "H41", event); err != nil {
		t.Fatal(err)
	}
	if err := record(t, db, "H29", event); err == nil {
		t.Error("an event of H41 in a transaction of H29: went through, want a refusal")
	}
	for _, statement := range []string{
		`update audit.event set reason = 'x'`, `delete from audit.event`, `truncate audit.event`,
	} {
		if _, err := db.Owner.Exec(t.Context(), statement); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("owner, %s: got %v, want a refusal", statement, err)
		}
		err := postgres.WriteTx(t.Context(), db.App, "H41", func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), statement)
			return err
		})
		if err == nil {
			t.Errorf("application, %s: went through, want a refusal", statement)
		}
	}
}
