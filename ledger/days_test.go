package ledger_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
)

const chief = "key_chief"

// change proposes and approves, two people.
func (b book) change(q ledger.DayRequest) error {
	return b.inTx(ngheAn, func(tx pgx.Tx) error {
		ctx := context.WithoutCancel(b.t.Context())
		p, _, err := ledger.ProposeDay(ctx, tx, ngheAn, q, accountant, now)
		if err == nil {
			_, err = ledger.DecideDay(ctx, tx, ngheAn, p, ledger.DayApproved, "seen", chief, now)
		}
		return err
	})
}

func TestReopenedDayTakesEntries(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	if err := b.closeDay(ngheAn, day); err != nil {
		t.Fatal(err)
	}
	closing, reopening := ledger.DayRequest{Date: day, Change: ledger.DayClose, Reason: "done"}, ledger.DayRequest{Date: day, Change: ledger.DayReopen, Reason: "late line"}
	if err := b.change(closing); !errors.Is(err, ledger.ErrDayState) {
		t.Errorf("close a closed day: got %v, want ErrDayState", err)
	}
	if err := b.change(reopening); err != nil {
		t.Fatal(err)
	}
	b.mustPost(captured(ngheAn, cause(1), 5, uuid.Nil))
	if err := b.change(reopening); !errors.Is(err, ledger.ErrDayState) {
		t.Errorf("reopen an open day: got %v, want ErrDayState", err)
	}
	if err := b.change(closing); err != nil {
		t.Fatal(err)
	}
	if _, err := b.post(captured(ngheAn, cause(2), 5, uuid.Nil)); !errors.Is(err, ledger.ErrDayClosed) {
		t.Errorf("post: got %v, want ErrDayClosed", err)
	}
	var found ledger.Day
	err := postgres.ReadTx(t.Context(), b.App, ngheAn, func(tx pgx.Tx) (err error) {
		found, err = ledger.FindDay(t.Context(), tx, day)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := ledger.Day{Date: day, Closed: true, Events: []ledger.DayEvent{
		{Number: 1, Change: ledger.DayClose, At: now, ApprovedBy: accountant},
		{Number: 2, Change: ledger.DayReopen, At: now, ApprovedBy: chief, ProposedBy: accountant},
		{Number: 3, Change: ledger.DayClose, At: now, ApprovedBy: chief, ProposedBy: accountant},
	}}
	for i, p := range found.Proposals {
		want.Events[i+1].Proposal = p.ID
		want.Proposals = append(want.Proposals, ledger.DayProposal{
			ID: p.ID, BusinessDate: day, Change: want.Events[i+1].Change, Reason: []string{"late line", "done"}[i], State: ledger.DayApproved,
			ProposedAt: now, ProposedBy: accountant, DecidedAt: &now, DecidedBy: chief, Note: "seen",
		})
	}
	if diff := cmp.Diff(found, want); diff != "" {
		t.Errorf("day (-got +want):\n%s", diff)
	}
	if got := b.problems(ngheAn); len(got) != 0 {
		t.Errorf("Check: %q", got)
	}
}

func TestProposalsNeedTwoPeople(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	q := ledger.DayRequest{Date: day, Change: ledger.DayClose, Reason: "done", Key: "key-0001"}
	var first ledger.DayProposal
	propose := func(q ledger.DayRequest, actor string) (p ledger.DayProposal, created bool, err error) {
		err = b.inTx(ngheAn, func(tx pgx.Tx) error {
			p, created, err = ledger.ProposeDay(t.Context(), tx, ngheAn, q, actor, now)
			return err
		})
		return p, created, err
	}
	first, created, err := propose(q, accountant)
	if err != nil || !created {
		t.Fatalf("got created %t, %v", created, err)
	}
	again, created, err := propose(q, accountant)
	if err != nil || created {
		t.Errorf("again: got created %t, %v", created, err)
	}
	if diff := cmp.Diff(again, first); diff != "" {
		t.Errorf("again (-got +want):\n%s", diff)
	}
	other := q
	other.Reason = "another"
	if _, _, err := propose(other, accountant); !errors.Is(err, ledger.ErrDayKey) {
		t.Errorf("same key, other body: got %v, want ErrDayKey", err)
	}
	other.Key = ""
	if _, _, err := propose(other, accountant); !errors.Is(err, ledger.ErrDayProposed) {
		t.Errorf("a second proposal: got %v, want ErrDayProposed", err)
	}
	other.Reason = ""
	if _, _, err := propose(other, accountant); !errors.Is(err, ledger.ErrDayReason) {
		t.Errorf("no reason: got %v, want ErrDayReason", err)
	}
	decide := func(decision ledger.ProposalState, actor string) error {
		return b.inTx(ngheAn, func(tx pgx.Tx) error {
			p, err := ledger.LockProposal(t.Context(), tx, first.ID)
			if err == nil {
				_, err = ledger.DecideDay(t.Context(), tx, ngheAn, p, decision, "", actor, now)
			}
			return err
		})
	}
	if err := decide(ledger.DayApproved, accountant); !errors.Is(err, ledger.ErrSamePerson) {
		t.Errorf("one person: got %v, want ErrSamePerson", err)
	}
	if err := decide(ledger.DayRejected, chief); err != nil {
		t.Fatal(err)
	}
	if err := decide(ledger.DayApproved, chief); !errors.Is(err, ledger.ErrProposalDecided) {
		t.Errorf("decide again: got %v, want ErrProposalDecided", err)
	}
	b.mustPost(captured(ngheAn, cause(1), 5, uuid.Nil)) // rejected: the day is open
}

// What the code refuses first, the database refuses too.
func TestWallsOfDays(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	if err := b.closeDay(ngheAn, day); err != nil {
		t.Fatal(err)
	}
	if err := b.change(ledger.DayRequest{Date: day, Change: ledger.DayReopen, Reason: "why"}); err != nil {
		t.Fatal(err)
	}
	if err := b.inTx(ngheAn, func(tx pgx.Tx) error {
		_, _, err := ledger.ProposeDay(t.Context(), tx, ngheAn, ledger.DayRequest{Date: day, Change: ledger.DayClose, Reason: "why"}, accountant, now)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	const proposal = `insert into ledger.day_proposal (id, authority, business_date, change, reason, proposed_at, proposed_by) values
		(gen_random_uuid(), 'H41', '2026-01-01', `
	const event = `insert into ledger.day_event (authority, business_date, number, change, at, approved_by, proposed_by, proposal_id) `
	for query, constraint := range map[string]string{
		proposal + `'close', '', now(), 'a')`: "day_proposal_reason",
		proposal + `'open', 'r', now(), 'a')`: "day_proposal_change",
		`update ledger.day_proposal set state = 'approved', decided_by = proposed_by, decided_at = now() where state = 'proposed'`:               "day_proposal_two_people",
		`update ledger.day_proposal set state = 'approved' where state = 'proposed'`:                                                             "day_proposal_decided",
		`update ledger.day_proposal set note = 'other' where state = 'approved'`:                                                                 "day_proposal_decided_once",
		event + `values ('H41', '2026-01-01', 0, 'reopen', now(), 'a', null, null)`:                                                              "day_event_alternates",
		event + `values ('H41', '2026-11-20', 0, 'reopen', now(), 'a', null, null)`:                                                              "day_event_alternates",
		event + `values ('H41', '2026-11-20', 0, 'close', now(), 'a', 'b', null)`:                                                                "day_event_proposed",
		event + `select 'H41', business_date, 0, 'close', now(), proposed_by, proposed_by, id from ledger.day_proposal where state = 'proposed'`: "day_event_two_people",
		event + `select 'H41', business_date, 0, 'close', now(), 'a', 'b', id from ledger.day_proposal where state = 'proposed'`:                 "day_event_proposal",
		`update ledger.day_event set at = now()`:                                                                                                 "append_only",
		`delete from ledger.day_event`:                                                                                                           "append_only",
		`delete from ledger.day_proposal`:                                                                                                        "day_proposal_decided_once",
	} {
		_, err := b.Owner.Exec(t.Context(), query)
		if got := postgres.Constraint(err); got != constraint {
			t.Errorf("%s:\ngot %q (%v), want %q", query, got, err, constraint)
		}
	}
	// An older program closes a day in its own way.
	if _, err := b.Owner.Exec(t.Context(), `insert into ledger.closed_day values ('H41', '2026-01-01', now(), 'key_1')`); err != nil {
		t.Fatal(err)
	}
	e := captured(ngheAn, cause(9), 5, uuid.Nil)
	e.BusinessDate = day.AddDays(-323)
	if _, err := b.post(e); !errors.Is(err, ledger.ErrDayClosed) {
		t.Errorf("a day closed by an older program (%v): got %v, want ErrDayClosed", e.BusinessDate, err)
	}
}
