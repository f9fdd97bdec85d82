package payments

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/providers"
)

// Identified is a suspended credit of a bank account that two persons say pays a dossier.
type Identified struct {
	Line          string // id of the statement line: it pays once
	BankReference string
	Amount        money.Amount
	OccurredAt    time.Time
	HeldSince     calendar.Date // business date on which the book put it on suspense
}

// RecordIdentified records the credit as a capture of a locked dossier, with a
// payment of its own beside whatever was asked for before. It pays what is
// outstanding in order; the rest is owed back and proposed for refund, as with
// any capture. Its entry takes the money out of suspense. The same line a
// second time breaks a unique constraint. Who calls has asked two persons.
func (s *Service) RecordIdentified(ctx context.Context, act postgres.Act, d dossiers.Dossier, in Identified) (CaptureID, error) {
	if in.Amount.Currency != d.Currency || !in.Amount.IsPositive() {
		return CaptureID{}, ErrStatement.With("the line is over %d %s, the dossier in %s", in.Amount.Minor, in.Amount.Currency, d.Currency)
	}
	reference, err := ident.NewReference(s.Random)
	if err != nil {
		return CaptureID{}, err
	}
	now, hash := act.Now.Truncate(time.Second), sha256.Sum256([]byte(in.Line))
	p := Payment{
		ID: ident.New[paymentKind](), Authority: d.Authority, DossierID: d.ID, Provider: FromBank, Reference: reference,
		Amount: in.Amount, Status: Captured, Locale: "vi", CreatedAt: now, ExpiresAt: now, StatusAt: now, requestHash: hash[:],
	}
	if err := insertPayment(ctx, act, p, nil, ""); err != nil {
		return CaptureID{}, err
	}
	at := in.OccurredAt
	if at.IsZero() {
		at = act.Now
	}
	c := captureOf(p, providers.Event{TransactionID: in.Line, BankReference: in.BankReference, Amount: in.Amount}, at, ByPersons, act.Now)
	c.BusinessDate = in.HeldSince // not before: suspense would go below zero for a while
	date, err := ledger.OpenDate(ctx, act, d.Authority, c.BusinessDate)
	if err != nil {
		return CaptureID{}, err
	}
	w := &ledger.Writes{}
	if err := s.capture(ctx, act, w, d, &p, c, date, ""); err != nil {
		return CaptureID{}, err
	}
	_, err = w.Send(ctx, act)
	return c.ID, err
}
