package fees_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/postgres"
)

// The walls hold without the Go code: undeclared edges, the maker as checker,
// skipped steps, strangers and changed acts are refused by the database.
func TestDatabaseKeepsTheLifeCycle(t *testing.T) {
	t.Parallel()
	s, db := newStore(t)
	seed(t, s)
	repealCurrent(t, s, "2025-12-31")
	p := draftOf(t, "NA-2026-50", gpxd+`"valid_from":"2026-01-01",`+good)
	drafted(t, s, p)
	act := func(authority, act, from, to, submittedBy, actor string, seq int) string {
		err := postgres.WriteTx(t.Context(), db.App, authority, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), `
				insert into fees.policy_act (policy, version, seq, authority, act, from_status, to_status, drafted_by, submitted_by, actor, at,
					reason, legal_basis, ends_on, replaced_by)
				values ('NA-2026-50', 1, $1, $2, $3, $4, $5, 'key_editor', nullif($6, ''), $7, $8, 'x', 'x',
					case when $3 in ('repeal', 'supersede') then date '2026-03-31' end, case when $3 = 'supersede' then 'NA-2025-00' end)`,
				seq, authority, act, from, to, submittedBy, actor, time.Now())
			return err
		})
		return postgres.Constraint(err)
	}
	for _, tt := range []struct{ name, got, want string }{
		{"skips submission", act("H41", "approve", "submitted", "approved", "", "key_b", 1), "policy_act_follows"},
		{"skips a number", act("H41", "submit", "draft", "submitted", "", "key_editor", 2), "policy_act_follows"},
		{"of another authority", act("H26", "submit", "draft", "submitted", "", "key_editor", 1), "policy_act_owner"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: constraint %q, want %q", tt.name, tt.got, tt.want)
		}
	}
	if _, err := s.SubmitPolicy(t.Context(), editor, p.ID, ""); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, got, want string }{
		{"maker approves", act("H41", "approve", "submitted", "approved", "key_editor", "key_editor", 2), "policy_act_maker_checker"},
		{"submitter denied", act("H41", "approve", "submitted", "approved", "", "key_b", 2), "policy_act_decided"},
		{"submitter invented", act("H41", "approve", "submitted", "approved", "key_c", "key_b", 2), "policy_act_submitted"},
		{"another checker", act("H41", "approve", "submitted", "approved", "key_editor", "key_b", 2), ""},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: constraint %q, want %q", tt.name, tt.got, tt.want)
		}
	}
	if _, err := db.Owner.Exec(t.Context(), `update fees.policy_act set actor = 'key_z'`); postgres.Constraint(err) != "append_only" {
		t.Errorf("update by the owner: %v, want append_only", err)
	}
}

var everyAct = []schedule.Act{
	schedule.ActSubmit, schedule.ActApprove, schedule.ActReject, schedule.ActRepeal, schedule.ActSupersede,
}

// The table in Go and the constraint in SQL know the same edges and no others.
func TestDatabaseKnowsTheSameEdges(t *testing.T) {
	t.Parallel()
	s, db := newStore(t)
	seed(t, s)
	drafted(t, s, draftOf(t, "NA-2026-50", gpxd+`"valid_from":"2026-01-01",`+good))
	// Without the trigger, which would answer first; all in one transaction that comes to nothing.
	tx, err := db.Owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `alter table fees.policy_act disable trigger policy_act_follows`); err != nil {
		t.Fatal(err)
	}
	for _, from := range schedule.Statuses() {
		for _, act := range everyAct {
			for _, to := range schedule.Statuses() {
				declared, ok := from.After(act)
				err := pgx.BeginFunc(t.Context(), tx, func(tx pgx.Tx) error {
					_, err := tx.Exec(t.Context(), `
						insert into fees.policy_act (policy, version, seq, authority, act, from_status, to_status, drafted_by, submitted_by, actor,
							at, reason, legal_basis, ends_on, replaced_by)
						values ('NA-2026-50', 1, 1, 'H41', $1::text, $2, $3, 'key_editor', 'key_s', 'key_b', now(), 'x', 'x',
							case when $1 in ('repeal', 'supersede') then date '2026-03-31' end,
							case when $1 = 'supersede' then 'NA-2025-00' end)`, string(act), string(from), string(to))
					return err
				})
				if refused := postgres.Constraint(err) == "policy_act_edge"; refused == (ok && declared == to) {
					t.Errorf("%s: %s → %s: %v", act, from, to, err)
				}
			}
		}
	}
}
