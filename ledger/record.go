package ledger

import (
	"github.com/google/uuid"

	"github.com/doisoat/doisoat/ledger/proof"
)

// record is the entry with all columns that the database will hold, apart from Tx.
func (e *Entry) record() proof.Entry {
	r := proof.Entry{
		ID: e.ID, Authority: e.Authority, BusinessDate: e.BusinessDate, RecordedAt: e.RecordedAt,
		CauseKind: e.Cause.Kind, CauseID: e.Cause.ID, CauseEvent: e.Cause.Event, Description: e.Description, Actor: e.Actor,
		Reverses: idOrNil(&e.Reverses), Corrects: idOrNil(&e.Corrects), Reason: e.Reason, Count: countOf(e),
		Postings: make([]proof.Posting, len(e.Postings)),
	}
	for i := range e.Postings {
		p := &e.Postings[i]
		n, _ := natureOf(p.Account) // Validate accepted the account
		r.Postings[i] = proof.Posting{
			Line: int16(i + 1), Authority: e.Authority, BusinessDate: e.BusinessDate,
			Account: p.Account, Class: string(n.class), Normal: string(n.normal),
			Side: string(p.Side), Amount: p.Amount.Minor, Currency: string(p.Amount.Currency), Memo: n.class == Memo,
			Dossier: uuidOrNil(&p.Dossier), Payment: uuidOrNil(&p.Payment),
			Refund: uuidOrNil(&p.Refund), Charge: uuidOrNil(&p.Charge),
			FeeType: textOrNil(&p.FeeType), Policy: textOrNil(&p.Policy),
		}
	}
	return r
}

func idOrNil(id *EntryID) *EntryID {
	if id.IsZero() {
		return nil
	}
	return id
}

func uuidOrNil(id *uuid.UUID) *uuid.UUID {
	if *id == uuid.Nil {
		return nil
	}
	return id
}

func textOrNil(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}
