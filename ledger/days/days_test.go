package days_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/approval"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/days"
)

func TestReopenedDayTakesEntries(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	if err := b.CloseDay(ngheAn, day); err != nil {
		t.Fatal(err)
	}
	closing, reopening := days.Request{
		Date:   day,
		Change: days.Closing,
		Reason: "done",
	}, days.Request{
		Date:   day,
		Change: days.Reopening,
		Reason: "late line",
	}
	if err := b.ChangeDay(closing); !errors.Is(err, days.ErrSame) {
		t.Errorf("close a closed day: got %v, want ErrSame", err)
	}
	if err := b.ChangeDay(reopening); err != nil {
		t.Fatal(err)
	}
	b.MustPost(captured(ngheAn, cause(1), 5, uuid.Nil))
	if err := b.ChangeDay(reopening); !errors.Is(err, days.ErrSame) {
		t.Errorf("reopen an open day: got %v, want ErrSame", err)
	}
	if err := b.ChangeDay(closing); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Post(captured(ngheAn, cause(2), 5, uuid.Nil)); !errors.Is(err, ledger.ErrDayClosed) {
		t.Errorf("post: got %v, want ErrDayClosed", err)
	}
	var found days.Day
	err := postgres.ReadTx(t.Context(), b.App, ngheAn, func(tx pgx.Tx) (err error) {
		found, err = days.Find(t.Context(), tx, day)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := days.Day{Date: day, Closed: true, Events: []days.Event{
		{Number: 1, Change: days.Closing, At: now, ApprovedBy: accountant},
		{Number: 2, Change: days.Reopening, At: now, ApprovedBy: chief, ProposedBy: accountant},
		{Number: 3, Change: days.Closing, At: now, ApprovedBy: chief, ProposedBy: accountant},
	}}
	for i, p := range found.Proposals {
		want.Events[i+1].Proposal = p.ID
		want.Proposals = append(want.Proposals, days.Proposal{
			ID: p.ID, BusinessDate: day, Change: want.Events[i+1].Change, Reason: []string{"late line", "done"}[i], Status: days.Approved,
			ProposedAt: now, ProposedBy: accountant, DecidedAt: &now, DecidedBy: chief, Note: "seen",
		})
	}
	if diff := cmp.Diff(found, want); diff != "" {
		t.Errorf("day (-got +want):\n%s", diff)
	}
	if got := b.Problems(ngheAn); len(got) != 0 {
		t.Errorf("Check: %q", got)
	}
}

func TestProposalsNeedTwoPeople(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	q := days.Request{Date: day, Change: days.Closing, Reason: "done", Key: "key-0001"}
	var first days.Proposal
	propose := func(q days.Request, actor string) (p days.Proposal, created bool, err error) {
		err = b.InTx(ngheAn, func(tx pgx.Tx) error {
			p, created, err = days.Propose(t.Context(), acting(tx, ngheAn, actor), q)
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
	if _, _, err := propose(other, accountant); !errors.Is(err, days.ErrKey) {
		t.Errorf("same key, other body: got %v, want ErrDayKey", err)
	}
	other.Key = ""
	if _, _, err := propose(other, accountant); !errors.Is(err, days.ErrProposed) {
		t.Errorf("a second proposal: got %v, want ErrDayProposed", err)
	}
	other.Reason = ""
	if _, _, err := propose(other, accountant); !errors.Is(err, days.ErrReason) {
		t.Errorf("no reason: got %v, want ErrDayReason", err)
	}
	decide := func(decision days.Status, actor string) error {
		return b.InTx(ngheAn, func(tx pgx.Tx) error {
			p, err := days.LockProposal(t.Context(), tx, first.ID)
			if err == nil {
				_, _, err = days.Decide(t.Context(), acting(tx, ngheAn, actor), p, decision, "")
			}
			return err
		})
	}
	if err := decide(days.Approved, accountant); !errors.Is(err, approval.ErrSamePerson) {
		t.Errorf("one person: got %v, want ErrSamePerson", err)
	}
	if err := decide(days.Rejected, chief); err != nil {
		t.Fatal(err)
	}
	if err := decide(days.Approved, chief); !errors.Is(err, approval.ErrDecided) {
		t.Errorf("decide again: got %v, want ErrProposalDecided", err)
	}
	b.MustPost(captured(ngheAn, cause(1), 5, uuid.Nil)) // rejected: the day is open
}

// The database refuses everything that the code refuses first.
func TestWallsOfDays(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	if err := b.CloseDay(ngheAn, day); err != nil {
		t.Fatal(err)
	}
	if err := b.ChangeDay(days.Request{Date: day, Change: days.Reopening, Reason: "why"}); err != nil {
		t.Fatal(err)
	}
	if err := b.InTx(ngheAn, func(tx pgx.Tx) error {
		_, _, err := days.Propose(t.Context(), acting(tx, ngheAn, accountant), days.Request{Date: day, Change: days.Closing, Reason: "why"})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	const proposal = `insert into ledger.day_proposal (id, authority, business_date, change, reason, proposed_at, proposed_by) values
		(gen_random_uuid(), 'H41', '2026-01-01', `
	const (
		event     = `insert into ledger.day_event (authority, business_date, number, change, at, approved_by, proposed_by, proposal_id) `
		waiting   = ` from ledger.day_proposal where status = 'proposed'`
		approvals = `update ledger.day_proposal set status = 'approved'`
	)
	for query, constraint := range map[string]string{
		proposal + `'close', '', now(), 'a')`:                                                            "day_proposal_reason",
		proposal + `'open', 'r', now(), 'a')`:                                                            "day_proposal_change",
		approvals + `, decided_by = proposed_by, decided_at = now() where status = 'proposed'`:           "day_proposal_two_people",
		approvals + ` where status = 'proposed'`:                                                         "day_proposal_decided",
		`update ledger.day_proposal set note = 'other' where status = 'approved'`:                        "day_proposal_decided_once",
		event + `values ('H41', '2026-01-01', 0, 'reopen', now(), 'a', null, null)`:                      "day_event_alternates",
		event + `values ('H41', '2026-11-20', 0, 'reopen', now(), 'a', null, null)`:                      "day_event_alternates",
		event + `values ('H41', '2026-11-20', 0, 'close', now(), 'a', 'b', null)`:                        "day_event_proposed",
		event + `select 'H41', business_date, 0, 'close', now(), proposed_by, proposed_by, id` + waiting: "day_event_two_people",
		event + `select 'H41', business_date, 0, 'close', now(), 'a', 'b', id` + waiting:                 "day_event_proposal",
		`update ledger.day_event set at = now()`:                                                         "append_only",
		`delete from ledger.day_event`:                                                                   "append_only",
		`delete from ledger.day_proposal`:                                                                "day_proposal_decided_once",
	} {
		_, err := b.Owner.Exec(t.Context(), query)
		if got := postgres.Constraint(err); got != constraint {
			t.Errorf("%s:\ngot %q (%v), want %q", query, got, err, constraint)
		}
	}
}
