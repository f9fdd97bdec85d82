package refunds

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/remittance"
)

// ErrDocument: the document is not one that can carry out this refund, or bring it back.
var ErrDocument = fault.New(fault.Invalid, "refunds.document", "the document is not valid for this refund")

// Stage says where the money of a refund is. M0, not
// captured, never becomes a refund.
type Stage string

// The stages. Several at once count as the latest.
const (
	AtProvider  Stage = "M1" // captured, not settled
	AtAgency    Stage = "M2" // in the agency's account
	AtWaiting   Stage = "M3" // phí at the treasury's waiting account
	InBudget    Stage = "M4" // remitted in this budget year
	InOldBudget Stage = "M5" // remitted in an earlier budget year
)

// stageOf finds the stage of what a refund takes.
func stageOf(c payments.Capture, taken []remittance.Taken, today calendar.Date) Stage {
	stage := AtAgency
	if c.SettledAt == nil && len(taken) == 0 {
		stage = AtProvider
	}
	for _, x := range taken {
		here := AtAgency
		switch {
		case x.Remitted != nil && x.Budget > 0 && x.Remitted.Year < today.Year:
			here = InOldBudget
		case x.Remitted != nil && x.Budget > 0:
			here = InBudget
		case x.Waiting:
			here = AtWaiting
		}
		stage = max(stage, here)
	}
	return stage
}

// routeFor is the way back of money at a stage: what the treasury has is not
// the provider's to give back any more.
func (s *Service) routeFor(stage Stage, c payments.Capture) Route {
	switch stage {
	case InBudget, InOldBudget:
		return TreasuryOrder
	case AtWaiting:
		return PaymentOrder
	default:
		return s.routeOf(c)
	}
}

// locate finds where the money of a refund is, takes it from there, and fixes
// stage and route. The dossier is locked.
func (s *Service) locate(ctx context.Context, act postgres.Act, d dossiers.Dossier, r *Refund) ([]remittance.Taking, error) {
	now := act.Now
	takings, err := remittance.Take(ctx, act, d, r.ID.UUID(), paidOf(d, *r))
	if err != nil {
		return nil, err
	}
	var taken []remittance.Taken
	for _, t := range takings {
		taken = append(taken, t.Shares...)
	}
	c, err := payments.FindCapture(ctx, act, r.CaptureID)
	if err != nil {
		return nil, err
	}
	r.Stage = stageOf(c, taken, calendar.On(now))
	r.Route = s.routeFor(r.Stage, c)
	return takings, nil
}

// Document is the paper by which a refund was paid, or came back.
type Document struct {
	Number  string
	Date    calendar.Date
	Account string // code of the bank account; empty when the treasury pays all of it
	Seq     int16  // place among the refund's documents, set by us
	Paid    bool   // else it came back; set by us
}

func (d Document) is(other Document) bool {
	return d.Paid == other.Paid && d.Number == other.Number && d.Date == other.Date && d.Account == other.Account
}

// Confirm records that a refund was paid by payment order or treasury order,
// with the number and date of the document: a reserved refund, or one that
// bounced, becomes done. Two persons decided before. The same document again
// changes nothing, and is an ErrDocument once another followed it; ErrDocument
// names what is wrong with a document.
func (s *Service) Confirm(ctx context.Context, actor auth.Actor, id ID, doc Document) (Refund, error) {
	doc.Paid = true
	return s.document(ctx, actor, id, doc, func(act postgres.Act, d dossiers.Dossier, r *Refund, doc Document, date calendar.Date) error {
		again := r.Status == Returned
		if !again && (r.Route == ByProvider || r.Status != Reserved) {
			return ErrState.With("a %s refund by route %s cannot be confirmed", r.Status, r.Route)
		}
		taken, err := remittance.TakenBy(ctx, act, r.ID.UUID())
		if err != nil {
			return err
		}
		from := purses(*r, taken, doc.Account)
		if again {
			from = []purse{{ledger.Transit(doc.Account), r.Amount.Minor}}
		}
		needed := from[len(from)-1].account == ledger.Transit(doc.Account)
		switch {
		case needed && doc.Account == "":
			return ErrDocument.At("/account", "must be the bank account that pays")
		case !needed && doc.Account != "":
			return ErrDocument.At("/account", "must be left out: the treasury pays all of it")
		}
		if again {
			if err := s.move(ctx, act, r, Done, doc.Number); err != nil {
				return err
			}
			_, err := ledger.Post(ctx, act, paidAgain(*r, doc, date, act.Now, actor.ID))
			return err
		}
		return s.carriedOut(ctx, act, d, r, from, date, doc.Number)
	})
}

// Return records that a refund bounced: the money is back in a bank account
// and owed to the payer again, by payment order. The same document again is as in Confirm.
func (s *Service) Return(ctx context.Context, actor auth.Actor, id ID, doc Document) (Refund, error) {
	return s.document(ctx, actor, id, doc, func(act postgres.Act, _ dossiers.Dossier, r *Refund, doc Document, date calendar.Date) error {
		if doc.Account == "" {
			return ErrDocument.At("/account", "must be the bank account where the money is")
		}
		r.Route = PaymentOrder
		if err := s.move(ctx, act, r, Returned, doc.Number); err != nil {
			return err
		}
		_, err := ledger.Post(ctx, act, returned(*r, doc, date, act.Now, actor.ID))
		return err
	})
}

// document locks a refund, refuses papers that cannot be true, keeps the
// document and does with it what body says, on the document's date or the next open one.
func (s *Service) document(ctx context.Context, actor auth.Actor, id ID, doc Document,
	body func(act postgres.Act, d dossiers.Dossier, r *Refund, doc Document, date calendar.Date) error,
) (r Refund, err error) {
	if err := auth.Require(actor, auth.PermRefundConfirm); err != nil {
		return Refund{}, err
	}
	if doc.Number == "" {
		return Refund{}, ErrDocument.At("/number", "must be the number of the document")
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		var d dossiers.Dossier
		if d, r, err = lockBoth(ctx, act, id); err != nil {
			return err
		}
		last, err := selectLastDocument(ctx, act, id)
		if err != nil {
			return err
		}
		if last.is(doc) && r.Status == map[bool]Status{true: Done, false: Returned}[doc.Paid] {
			return nil
		}
		now := act.Now
		if err := doc.plausible(r, last, calendar.On(now)); err != nil {
			return err
		}
		if doc.Account != "" {
			if err := remittance.BankAccount(ctx, act, doc.Account, r.Amount.Currency); err != nil {
				return err
			}
		}
		doc.Seq = last.Seq + 1
		date, err := ledger.OpenDate(ctx, act, r.Authority, doc.Date)
		if err != nil {
			return err
		}
		if err := body(act, d, &r, doc, date); err != nil {
			return err
		}
		return insertDocument(ctx, act, r, doc)
	})
	if postgres.Constraint(err) == "document_once" {
		return Refund{}, ErrDocument.At("/number", "was recorded already, before what followed it")
	}
	return r, err
}

// plausible: no paper is from the future, or older than what it carries out.
func (d Document) plausible(r Refund, last Document, today calendar.Date) error {
	if r.DecidedAt == nil {
		return ErrState.With("a %s refund has no document", r.Status)
	}
	earliest := calendar.On(*r.DecidedAt)
	if last.Seq > 0 {
		earliest = last.Date
	}
	if !d.Date.Within(earliest, today) {
		return ErrDocument.At("/date", "must lie between "+earliest.String()+" and today")
	}
	return nil
}

// selectLastDocument is the newest document of a refund; its Seq is 0 when there is none.
func selectLastDocument(ctx context.Context, tx pgx.Tx, id ID) (Document, error) {
	rows, err := tx.Query(ctx, `
		select number, document_date, account, seq, act = 'paid' from refunds.document where refund_id = $1 order by seq desc limit 1`, id)
	if err != nil {
		return Document{}, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Document])
	if err != nil || len(list) == 0 {
		return Document{}, err
	}
	return list[0], nil
}

func insertDocument(ctx context.Context, act postgres.Act, r Refund, doc Document) error {
	_, err := act.Exec(ctx, `
		insert into refunds.document (refund_id, seq, authority, act, number, document_date, account, recorded_at, recorded_by)
		values (@refund, @seq, @authority, case when @paid then 'paid' else 'returned' end, @number, @date, @account, @now, @actor)`,
		pgx.StrictNamedArgs{
			"refund": r.ID, "seq": doc.Seq, "authority": r.Authority, "paid": doc.Paid, "number": doc.Number, "date": doc.Date,
			"account": doc.Account, "now": act.Now, "actor": act.Actor.ID,
		})
	if err != nil {
		return err
	}
	return audit.Record(ctx, act, audit.Event{
		Actor: act.Actor, At: act.Now, Act: "refund.document", ObjectKind: "refund", ObjectID: r.ID.String(),
		After: map[string]any{"number": doc.Number, "date": doc.Date, "account": doc.Account, "status": r.Status, "stage": r.Stage},
	})
}
