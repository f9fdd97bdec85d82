// Package audit keeps the trail of acts: the actor, the act, the object, the reason, and
// the object before and after.
//
// It owns the Postgres schema audit. Every room records its acts in the
// transaction that does them: an act and its event exist together or not at
// all. Rows are append-only, by rights and by a trigger, and each authority
// sees its own.
//
// Before and After hold states, amounts, codes and ids: never personal data,
// never secrets. The trail outlives the things that it describes.
package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/fault"
)

// Event is one act. Before and After are written as JSON; nil is NULL. They and
// Reason must hold no personal data and no secrets.
type Event struct {
	Actor      auth.Actor // who, and whose trail it goes to
	At         time.Time  // the one instant of the transaction
	Act        string     // verb of the room, for example "refund.approve"
	ObjectKind string     // noun, for example "refund"
	ObjectID   string     // outside form of its id
	Before     any
	After      any
	Reason     string // why, when a person gave a reason
}

// ErrIncomplete says that an event lacks its actor, time, act or object: a bug of the caller.
var ErrIncomplete = fault.New(fault.Internal, "audit.incomplete", "an act was not recorded completely")

// Record writes e in the transaction of the act.
func Record(ctx context.Context, tx pgx.Tx, e Event) error {
	return RecordAll(ctx, tx, []Event{e})
}

// RecordAll writes events with one statement; none is fine.
func RecordAll(ctx context.Context, tx pgx.Tx, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	b := &pgx.Batch{}
	if err := Queue(b, events...); err != nil {
		return err
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("record audit events: %w", err)
	}
	return nil
}

// Queue leaves the writing of events to a batch that the act's transaction sends.
func Queue(b *pgx.Batch, events ...Event) error {
	var r rows
	for _, e := range events {
		if err := r.add(e); err != nil {
			return err
		}
	}
	b.Queue(`
		insert into audit.event (id, at, authority, actor_role, actor_id, act, object_kind, object_id, before, after, reason)
		select * from unnest(@id::uuid[], @at::timestamptz[], @authority::text[], @role::text[], @actor::text[], @act::text[],
			@kind::text[], @object::text[], @before::jsonb[], @after::jsonb[], @reason::text[])`,
		pgx.StrictNamedArgs{
			"id": r.id, "at": r.at, "authority": r.authority, "role": r.role, "actor": r.actor, "act": r.act,
			"kind": r.kind, "object": r.object, "before": r.before, "after": r.after, "reason": r.reason,
		})
	return nil
}

// rows are events as columns, the form that unnest takes.
type rows struct {
	id                                                []uuid.UUID
	at                                                []time.Time
	authority, role, actor, act, kind, object, reason []string
	before, after                                     [][]byte
}

func (r *rows) add(e Event) error {
	if e.Actor.Authority == "" || e.Actor.Role == "" || e.Actor.ID == "" || e.At.IsZero() ||
		e.Act == "" || e.ObjectKind == "" || e.ObjectID == "" {
		return ErrIncomplete.Because(fmt.Errorf("act %q on %q", e.Act, e.ObjectKind))
	}
	before, err := document(e.Before)
	if err != nil {
		return fmt.Errorf("write before of %s: %w", e.Act, err)
	}
	after, err := document(e.After)
	if err != nil {
		return fmt.Errorf("write after of %s: %w", e.Act, err)
	}
	r.id = append(r.id, uuid.Must(uuid.NewV7()))
	r.at = append(r.at, e.At)
	r.authority = append(r.authority, e.Actor.Authority)
	r.role = append(r.role, string(e.Actor.Role))
	r.actor = append(r.actor, e.Actor.ID)
	r.act = append(r.act, e.Act)
	r.kind = append(r.kind, e.ObjectKind)
	r.object = append(r.object, e.ObjectID)
	r.before = append(r.before, before)
	r.after = append(r.after, after)
	r.reason = append(r.reason, e.Reason)
	return nil
}

// document returns v as JSON; nil (NULL) when v is nil or its JSON is null.
func document(v any) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	b, err := json.Marshal(v)
	if err != nil || bytes.Equal(b, []byte("null")) {
		return nil, err
	}
	return b, nil
}
