package routes

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/remittance"
)

// Document is the paper by which a refund was paid, or came back.
type Document struct {
	Number  string
	Date    calendar.Date
	Account string // code of the bank account; empty when the treasury pays all of it
	Seq     int16  // place among the refund's documents, set by us
	Paid    bool   // false: the money came back; set by us
}

func (d Document) is(other Document) bool {
	return d.Paid == other.Paid && d.Number == other.Number && d.Date == other.Date && d.Account == other.Account
}

func (d Document) ofBank() refunds.BankDocument {
	return refunds.BankDocument{Seq: d.Seq, Number: d.Number, Account: d.Account}
}

// Confirm records that a refund was paid by payment order or treasury order,
// with the number and date of the document: a reserved refund, or a returned
// one, becomes done. Two persons decided before. The same document again changes
// nothing, and is an ErrDocument once another document followed it. ErrDocument
// names the wrong member of a document.
func (s *Service) Confirm(ctx context.Context, actor auth.Actor, id refunds.ID, doc Document) (refunds.Refund, error) {
	doc.Paid = true
	return s.document(ctx, actor, id, doc, func(act postgres.Act, r *refunds.Locked, doc Document, date calendar.Date) error {
		again := r.Status == refunds.Returned
		if !again && (r.Route == refunds.ByProvider || r.Status != refunds.Reserved) {
			return refunds.ErrStatus.With("a %s refund by route %s cannot be confirmed", r.Status, r.Route)
		}
		taken, err := remittance.TakenBy(ctx, act, r.ID.UUID())
		if err != nil {
			return err
		}
		from := r.FundedBy(taken, doc.Account)
		needed := again || from[len(from)-1].Account == ledger.Transit(doc.Account)
		switch {
		case needed && doc.Account == "":
			return ErrDocument.At("/account", "must be the bank account that pays")
		case !needed && doc.Account != "":
			return ErrDocument.At("/account", "must be left out: the treasury pays all of it")
		case again:
			return r.PayAgain(ctx, act, doc.ofBank(), date)
		default:
			return r.Finish(ctx, act, from, date, doc.Number)
		}
	})
}

// Return records that a refund bounced: the money is back in a bank account
// and owed to the payer again, by payment order. The same document again is
// treated as in Confirm.
func (s *Service) Return(ctx context.Context, actor auth.Actor, id refunds.ID, doc Document) (refunds.Refund, error) {
	return s.document(ctx, actor, id, doc, func(act postgres.Act, r *refunds.Locked, doc Document, date calendar.Date) error {
		if doc.Account == "" {
			return ErrDocument.At("/account", "must be the bank account where the money is")
		}
		return r.Return(ctx, act, doc.ofBank(), date)
	})
}

// document locks a refund, refuses papers that cannot be true, keeps the
// document and calls body, with the document's date or the next open date of the book.
func (s *Service) document(ctx context.Context, actor auth.Actor, id refunds.ID, doc Document,
	body func(act postgres.Act, r *refunds.Locked, doc Document, date calendar.Date) error,
) (found refunds.Refund, err error) {
	if err := auth.Require(actor, auth.PermRefundConfirm); err != nil {
		return refunds.Refund{}, err
	}
	if doc.Number == "" {
		return refunds.Refund{}, ErrDocument.At("/number", "must be the number of the document")
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		r, err := refunds.Lock(ctx, act, id)
		if err != nil {
			return err
		}
		found = r.Refund
		last, err := selectLastDocument(ctx, act, id)
		if err != nil {
			return err
		}
		if last.is(doc) && r.Status == map[bool]refunds.Status{true: refunds.Done, false: refunds.Returned}[doc.Paid] {
			return nil
		}
		if err := doc.plausible(r.Refund, last, calendar.On(act.Now)); err != nil {
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
		if err := body(act, r, doc, date); err != nil {
			return err
		}
		found = r.Refund
		return insertDocument(ctx, act, found, doc)
	})
	if postgres.Constraint(err) == "document_once" {
		return refunds.Refund{}, ErrDocument.At("/number", "was recorded already, before the document that followed it")
	}
	return found, err
}

// plausible refuses a document from the future, or one older than the decision
// or the document before it.
func (d Document) plausible(r refunds.Refund, last Document, today calendar.Date) error {
	if r.DecidedAt == nil {
		return refunds.ErrStatus.With("a %s refund has no document", r.Status)
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
func selectLastDocument(ctx context.Context, tx pgx.Tx, id refunds.ID) (Document, error) {
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

func insertDocument(ctx context.Context, act postgres.Act, r refunds.Refund, doc Document) error {
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
