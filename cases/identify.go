package cases

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/approval"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/captures"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/reconcile/openitems"
	"github.com/doisoat/doisoat/statements"
)

type identificationKind struct{}

// Prefix implements ident.Kind.
func (identificationKind) Prefix() string { return "idn" }

// IdentificationID names an identification.
type IdentificationID = ident.ID[identificationKind]

// IdentificationStatus is how far an identification came.
type IdentificationStatus string

// The statuses: proposed → approved, rejected; both are final.
const (
	IdentificationProposed IdentificationStatus = "proposed"
	IdentificationApproved IdentificationStatus = "approved"
	IdentificationRejected IdentificationStatus = "rejected"
)

// IdentifyRequest names the dossier that a line pays. Amount repeats the amount
// of the line, so that a request about the wrong line is refused.
type IdentifyRequest struct {
	DossierCode string
	Amount      money.Amount
	Reason      string
}

// Identification says that a suspended credit of a bank pays a dossier.
type Identification struct {
	ID          IdentificationID
	Line        statements.LineID
	Statement   statements.ID
	DossierID   dossiers.ID
	DossierCode string
	Amount      money.Amount
	Reason      string
	Status      IdentificationStatus
	ProposedAt  time.Time
	ProposedBy  string
	DecidedAt   *time.Time
	DecidedBy   string // another person than ProposedBy
	Note        string // of who decided
	Capture     payments.CaptureID
}

func (n Identification) asks(q IdentifyRequest) bool {
	return n.DossierCode == q.DossierCode && n.Amount == q.Amount && n.Reason == q.Reason
}

// ProposeIdentification proposes that a suspended credit of a bank pays a dossier
// (the maker's part). It moves no money. The same proposal again returns the first
// one, and created is false. ErrIdentified when another proposal waits or is
// approved, ErrNotSuspended when the line is no suspended credit.
func (s *Service) ProposeIdentification(
	ctx context.Context, actor auth.Actor, statement statements.ID, line statements.LineID, q IdentifyRequest,
) (n Identification, created bool, err error) {
	if err := auth.Require(actor, auth.PermCasePropose); err != nil {
		return n, false, err
	}
	if q.Reason == "" {
		return n, false, ErrInvalid.At("/reason", "must say why")
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		created = false
		if err := statements.TakeTurn(ctx, act, actor.Authority); err != nil {
			return err
		}
		l, err := suspendedLine(ctx, act, line)
		if err != nil {
			return err
		}
		if l.Statement != statement {
			return ErrLineNotFound
		}
		list, err := selectIdentifications(ctx, act, ` and n.line_id = $1 and n.status <> 'rejected'`, line)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			if n = list[0]; !n.asks(q) {
				return ErrIdentified
			}
			return nil
		}
		if err := l.suspended(); err != nil {
			return err
		}
		d, err := dossiers.Find(ctx, act, q.DossierCode)
		if err != nil {
			return err
		}
		if err := l.pays(d, q.Amount); err != nil {
			return err
		}
		n, created = Identification{
			ID: ident.New[identificationKind](), Line: line, Statement: statement, DossierID: d.ID, DossierCode: d.Code, Amount: q.Amount,
			Reason: q.Reason, Status: IdentificationProposed, ProposedAt: act.Now, ProposedBy: actor.ID,
		}, true
		return insertIdentification(ctx, act, n)
	})
	return n, created, err
}

// ApproveIdentification records the credit as a capture of the dossier and takes
// the money out of suspense. The checker is another person than the maker. The
// line is matched with the capture, for good, and its breaks end. Money that no
// charge needs becomes a refund. A second approval by the same checker changes
// nothing. ErrNotSuspended when a run matched the line meanwhile.
func (s *Service) ApproveIdentification(ctx context.Context, actor auth.Actor, id IdentificationID, note string) (Identification, error) {
	return s.decideIdentification(ctx, actor, id, IdentificationApproved, note, func(act postgres.Act, n *Identification) error {
		l, err := suspendedLine(ctx, act, n.Line)
		if err != nil {
			return err
		}
		if err := l.suspended(); err != nil {
			return err
		}
		d, err := dossiers.LockByID(ctx, act, n.DossierID)
		if err != nil {
			return err
		}
		n.Capture, err = s.Payments.RecordIdentified(ctx, act, d, payments.Identified{
			Line: n.Line.String(), BankReference: l.BankRef, Amount: n.Amount,
			OccurredAt: openitems.OccurredAt(l.Date, l.OccurredAt), HeldSince: *l.HeldSince,
		})
		if err != nil {
			return err
		}
		return s.matchIdentified(ctx, act, l, *n)
	})
}

// RejectIdentification leaves the credit in suspense, with a reason.
func (s *Service) RejectIdentification(ctx context.Context, actor auth.Actor, id IdentificationID, reason string) (Identification, error) {
	if reason == "" {
		return Identification{}, ErrInvalid.At("/reason", "must say why")
	}
	return s.decideIdentification(ctx, actor, id, IdentificationRejected, reason, func(postgres.Act, *Identification) error { return nil })
}

// decideIdentification takes the turn of the authority, checks the decision, runs
// body and then writes the decision. A repeated decision of the same checker skips
// body and writes nothing.
func (s *Service) decideIdentification(ctx context.Context, actor auth.Actor, id IdentificationID, to IdentificationStatus, note string,
	body func(postgres.Act, *Identification) error,
) (n Identification, err error) {
	if err := auth.Require(actor, auth.PermCaseApprove); err != nil {
		return Identification{}, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		if err := statements.TakeTurn(ctx, act, actor.Authority); err != nil {
			return err
		}
		list, err := selectIdentifications(ctx, act, ` and n.id = $1`, id)
		if err != nil {
			return err
		}
		if len(list) != 1 {
			return ErrIdentificationNotFound
		}
		n = list[0]
		repeated, err := approval.Check(actor, approval.Proposal{
			MadeBy: []string{n.ProposedBy}, Open: n.Status == IdentificationProposed, DecidedBy: n.DecidedBy, Same: n.Status == to,
		})
		if err != nil || repeated {
			return err
		}
		if err := body(act, &n); err != nil {
			return err
		}
		now := act.Now
		n.Status, n.DecidedAt, n.DecidedBy, n.Note = to, &now, actor.ID, note
		return updateIdentification(ctx, act, n)
	})
	return n, err
}

// matchIdentified matches a line with its capture, so that no run compares the line again.
func (s *Service) matchIdentified(ctx context.Context, act postgres.Act, l heldLine, n Identification) error {
	now := act.Now
	run, err := reconcile.RunByID(ctx, act, l.Run)
	if err != nil {
		return err
	}
	in := matching.Input{
		Lines: []matching.Line{{ID: n.Line.UUID(), Amount: n.Amount.Minor}},
		Items: []matching.Item{{Kind: matching.Capture, ID: n.Capture.UUID(), Amount: n.Amount.Minor}},
	}
	match := matching.Match{
		Lane: matching.LaneIdentified, Rule: matching.RuleIdentified, Kind: "manual", Score: matching.ScoreCertain, Batch: -1,
		Inputs: map[string]string{"identification": n.ID.String(), "dossier": n.DossierCode, "proposed_by": n.ProposedBy},
	}
	if _, err := reconcile.SaveMatch(ctx, act, run, in, match); err != nil {
		return err
	}
	_, err = act.Exec(ctx, `
		with l as (update reconcile.statement_line set suspense_entry = null where id = $1)
		update reconcile.break set status = 'resolved', resolved_at = $2, resolution = 'identified'
		where line_id = $1 and status <> 'resolved'`, n.Line, now)
	if err != nil {
		return err
	}
	return captures.Settle(ctx, act, []payments.CaptureID{n.Capture})
}

// heldLine is a statement line as far as it can be identified.
type heldLine struct {
	Statement  statements.ID   `db:"statement_id"`
	Run        reconcile.RunID `db:"run_id"`
	Date       calendar.Date   `db:"business_date"`
	OccurredAt *time.Time      `db:"occurred_at"`
	Amount     int64           `db:"amount"`
	Currency   money.Currency  `db:"currency"`
	BankRef    string          `db:"bank_ref"`
	HeldSince  *calendar.Date  `db:"held_since"` // none when it is not on suspense
	Compared   bool            `db:"compared"`   // a break holds it together with an item of the book
	Repaired   bool            `db:"repaired"`   // a repair asks about it, or recorded a capture that no run has seen
}

// suspendedLine reads a line of the authority, or returns ErrLineNotFound.
func suspendedLine(ctx context.Context, tx pgx.Tx, id statements.LineID) (heldLine, error) {
	rows, err := tx.Query(ctx, `
		select l.statement_id, l.run_id, l.business_date, l.occurred_at, l.amount, l.currency, l.bank_ref, e.business_date as held_since,
			exists (select from reconcile.break b where b.line_id = l.id and b.holds and b.status <> 'resolved'
				and (num_nonnulls(b.capture_id, b.refund_id, b.transit_id) > 0 or b.batch_id <> '')) as compared,
			exists (select from reconcile.repair r where r.line_id = l.id and (r.outcome = 'asked' or r.outcome = 'recorded'
				and not exists (select from reconcile.match_item i where i.line_id = l.id and i.side = 'line'))) as repaired
		from reconcile.statement_line l left join ledger.entry e on e.id = l.suspense_entry
		where l.authority = (select app.authority()) and l.id = $1`, id)
	if err != nil {
		return heldLine{}, err
	}
	l, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[heldLine])
	if errors.Is(err, pgx.ErrNoRows) {
		return l, ErrLineNotFound
	}
	return l, err
}

func (l heldLine) suspended() error {
	switch {
	case l.HeldSince == nil || l.Amount <= 0:
		return ErrNotSuspended
	case l.Compared:
		return ErrNotSuspended.With("a break compares the line with an item of the book: that one first")
	case l.Repaired:
		return ErrNotSuspended.With("a repair of the line is under way: run again first")
	}
	return nil
}

func (l heldLine) pays(d dossiers.Dossier, amount money.Amount) error {
	switch {
	case amount.Currency != l.Currency:
		return ErrInvalid.At("/currency", "must be that of the line, "+string(l.Currency))
	case amount.Minor != l.Amount:
		return ErrInvalid.At("/amount", "must be the whole amount of the line")
	case d.Currency != l.Currency:
		return ErrInvalid.At("/dossier", "owes in another currency than the line's")
	}
	return nil
}

// IdentificationFilter narrows a list of identifications; zero members do not filter.
type IdentificationFilter struct {
	Status IdentificationStatus
	After  IdentificationID // last id of the page before
	Limit  int
}

// ListIdentifications returns identifications of the actor's authority, newest first. next is zero at the end.
func (s *Service) ListIdentifications(
	ctx context.Context, actor auth.Actor, f IdentificationFilter,
) (list []Identification, next IdentificationID, err error) {
	if err := auth.Require(actor, auth.PermReconcileRead); err != nil {
		return nil, next, err
	}
	f.Limit = page.Limit(f.Limit)
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		list, err = selectIdentifications(ctx, tx, `
			and ($1 = '' or n.status = $1) and ($2::uuid is null or n.id < $2) order by n.id desc limit $3`, string(f.Status), f.After, f.Limit+1)
		return err
	})
	list, next = page.Cut(list, f.Limit, func(x Identification) IdentificationID { return x.ID })
	return list, next, err
}

func selectIdentifications(ctx context.Context, tx pgx.Tx, and string, args ...any) ([]Identification, error) {
	rows, err := tx.Query(ctx, `
		select n.id, n.line_id, l.statement_id, n.dossier_id, d.code, n.currency, n.amount, n.reason, n.status, n.proposed_at, n.proposed_by,
			n.decided_at, coalesce(n.decided_by, ''), n.note, n.capture_id
		from reconcile.identification n
		join reconcile.statement_line l on l.id = n.line_id
		join dossiers.dossier d on d.id = n.dossier_id
		where n.authority = (select app.authority())`+and, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (n Identification, err error) {
		var capture uuid.NullUUID
		err = row.Scan(&n.ID, &n.Line, &n.Statement, &n.DossierID, &n.DossierCode, &n.Amount.Currency, &n.Amount.Minor, &n.Reason, &n.Status,
			&n.ProposedAt, &n.ProposedBy, &n.DecidedAt, &n.DecidedBy, &n.Note, &capture)
		n.Capture = payments.CaptureID(capture.UUID)
		return n, err
	})
}

func insertIdentification(ctx context.Context, act postgres.Act, n Identification) error {
	_, err := act.Exec(ctx, `
		insert into reconcile.identification (id, authority, line_id, dossier_id, amount, currency, reason, proposed_at, proposed_by)
		values (@id, @authority, @line, @dossier, @amount, @currency, @reason, @at, @by)`, pgx.StrictNamedArgs{
		"id": n.ID, "authority": act.Actor.Authority, "line": n.Line, "dossier": n.DossierID, "amount": n.Amount.Minor,
		"currency": n.Amount.Currency, "reason": n.Reason, "at": n.ProposedAt, "by": n.ProposedBy,
	})
	if err != nil {
		return identificationFault(err)
	}
	return audit.Record(ctx, act, audit.Event{
		Actor: act.Actor, At: n.ProposedAt, Act: "identification.propose",
		ObjectKind: "identification", ObjectID: n.ID.String(), Reason: n.Reason,
		After: map[string]any{"line": n.Line, "dossier": n.DossierCode, "amount": n.Amount.Minor},
	})
}

func updateIdentification(ctx context.Context, tx postgres.Act, n Identification) error {
	_, err := tx.Exec(ctx, `
		update reconcile.identification set status = @status, decided_at = @at, decided_by = @by,
			note = @note, capture_id = @capture where id = @id`,
		pgx.StrictNamedArgs{"id": n.ID, "status": n.Status, "at": n.DecidedAt, "by": n.DecidedBy, "note": n.Note, "capture": n.Capture})
	if err != nil {
		return identificationFault(err)
	}
	act := map[IdentificationStatus]string{
		IdentificationApproved: "identification.approve", IdentificationRejected: "identification.reject",
	}[n.Status]
	return audit.Record(ctx, tx, audit.Event{
		Actor: tx.Actor, At: *n.DecidedAt, Act: act, ObjectKind: "identification", ObjectID: n.ID.String(), Reason: n.Note,
		After: map[string]any{"line": n.Line, "dossier": n.DossierCode, "amount": n.Amount.Minor, "capture": n.Capture},
	})
}

func identificationFault(err error) error {
	constraint := postgres.Constraint(err)
	if constraint == "identification_once" {
		return ErrIdentified.Because(err)
	}
	return approval.Refused(constraint, err)
}
