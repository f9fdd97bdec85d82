package refunds

import (
	"context"
	"slices"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/captures"
	"github.com/doisoat/doisoat/providers"
)

// Send gives an approved refund to its provider, in three steps: a transaction
// that moves it to sending; the call, with no transaction open; a transaction
// that records the answer. A refund found in sending is left to who is sending
// it; after a while it was interrupted between the steps: it may be at the
// provider, so it is not sent again but becomes unknown. ErrCannotSend when nothing left us: the same refund, with the same
// reference, is sent by the next try.
func (s *Service) Send(ctx context.Context, authority string, id ID) error {
	actor := auth.System(authority)
	// Whoever is later than this could send what others take for interrupted.
	calling, stop := context.WithTimeout(ctx, providers.SendTimeout)
	defer stop()
	call, err := s.begin(calling, actor, id)
	if err != nil || call == nil {
		return err
	}
	answer, err := call.provider.Refund(calling, call.merchant, call.request)
	if err != nil { // the request could not be built: nothing left us
		answer = providers.RefundResult{Outcome: providers.NotSent, Reason: "not_built"}
	}
	// The answer must be kept even when the caller is going away.
	recording, cancel := context.WithTimeout(context.WithoutCancel(ctx), providers.RecordTimeout)
	defer cancel()
	recordErr := s.record(recording, actor, id, func(postgres.Act, Refund) (providers.RefundResult, error) { return answer, nil })
	if recordErr != nil {
		return recordErr
	}
	if err != nil {
		return err
	}
	if answer.Outcome == providers.NotSent {
		return ErrCannotSend
	}
	return nil
}

// refundCall is what step two needs.
type refundCall struct {
	provider providers.Refunder
	merchant providers.Merchant
	request  providers.RefundRequest
}

// begin is step one. It returns a call only when it moved the refund to
// sending itself: nil when there is nothing to send.
func (s *Service) begin(ctx context.Context, actor auth.Actor, id ID) (call *refundCall, err error) {
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		call = nil
		_, r, err := lockBoth(ctx, act, id)
		if err != nil {
			return err
		}
		if r.Status == Sending && interrupted(r, act.Now) {
			return s.move(ctx, act, &r, Unknown, "interrupted")
		}
		if r.Status != Reserved || r.Route != ByProvider {
			return nil // sent before, or being sent: a repeated job has nothing to do
		}
		found, err := s.callFor(ctx, act, r)
		if err != nil {
			return err
		}
		if err := s.move(ctx, act, &r, Sending, ""); err != nil {
			return err
		}
		call = &found
		return nil
	})
	return call, err
}

func (s *Service) callFor(ctx context.Context, act postgres.Act, r Refund) (refundCall, error) {
	refunder, err := providers.Find[providers.Refunder](s.Providers, r.Provider)
	if err != nil {
		return refundCall{}, err
	}
	p, err := payments.FindInTx(ctx, act, r.PaymentID)
	if err != nil {
		return refundCall{}, err
	}
	c, err := payments.FindCapture(ctx, act, r.CaptureID)
	if err != nil {
		return refundCall{}, err
	}
	_, m, err := s.Merchants.Open(ctx, act, r.MerchantID)
	return refundCall{refunder, m, providers.RefundRequest{
		Reference: r.Reference, Payment: p.Reference, TransactionID: c.TransactionID, PaidCreatedAt: p.CreatedAt,
		Amount: r.Amount, Captured: c.Amount, Description: "Hoan tra ho so " + r.DossierCode, RequestedBy: r.DecidedBy, Now: act.Now,
	}}, err
}

// record is step three: it writes an outcome of a refund that is under way.
// Outcomes that add nothing to what is known only put off the next inquiry.
// believed is asked under the lock what the answer is worth now.
func (s *Service) record(ctx context.Context, actor auth.Actor, id ID, believed func(postgres.Act, Refund) (providers.RefundResult, error)) error {
	return postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		d, r, err := lockBoth(ctx, act, id)
		if err != nil || !r.Status.underWay() {
			return err
		}
		answer, err := believed(act, r)
		if err != nil {
			return err
		}
		if answer.TransactionID != "" {
			r.Transaction = answer.TransactionID
		}
		r.ProviderReason = answer.Reason
		return s.apply(ctx, act, d, &r, answer.Outcome, answer.Reason)
	})
}

func (s *Service) apply(ctx context.Context, act postgres.Act, d dossiers.Dossier, r *Refund, outcome providers.Outcome, reason string) error {
	switch outcome {
	case providers.Succeeded:
		return s.finish(ctx, act, d, r, reason)
	case providers.Declined:
		return s.decline(ctx, act, d, r, reason)
	case providers.NotSent:
		if r.Status == Sending {
			return s.move(ctx, act, r, Reserved, reason)
		}
	case providers.Pending:
		if r.Status != Sent {
			return s.move(ctx, act, r, Sent, reason)
		}
	case providers.Unknown:
		if r.Status == Sending {
			return s.move(ctx, act, r, Unknown, reason)
		}
	}
	r.NextInquiry = nextInquiry(*r, act.Now)
	return update(ctx, act, *r)
}

// finish ends a refund that its provider carried out.
func (s *Service) finish(ctx context.Context, act postgres.Act, d dossiers.Dossier, r *Refund, reason string) error {
	date, err := ledger.OpenDate(ctx, act, r.Authority, calendar.On(act.Now))
	if err != nil {
		return err
	}
	return s.carriedOut(ctx, act, d, r, purses(*r, nil, ""), date, reason)
}

// carriedOut posts a refund as done out of the accounts that paid it, ends the
// refunded obligation and issues adjusting receipts.
func (s *Service) carriedOut(ctx context.Context, act postgres.Act, d dossiers.Dossier, r *Refund, from []purse, date calendar.Date, reason string) error {
	if err := s.move(ctx, act, r, Done, reason); err != nil {
		return err
	}
	now, charges := act.Now, paidOf(d, *r)
	if _, err := ledger.Post(ctx, act, done(*r, charges, from, date, now, act.Actor.ID)); err != nil {
		return err
	}
	return dossiers.RecordRefunded(ctx, act, d, charges, r.ID.UUID())
}

// decline gives the reservation back, in the book and at the capture.
func (s *Service) decline(ctx context.Context, act postgres.Act, d dossiers.Dossier, r *Refund, reason string) error {
	if err := s.move(ctx, act, r, Declined, reason); err != nil {
		return err
	}
	now := act.Now
	date, err := ledger.OpenDate(ctx, act, r.Authority, calendar.On(now))
	if err != nil {
		return err
	}
	if entry, ok := declined(*r, paidOf(d, *r), date, now, act.Actor.ID); ok {
		if _, err := ledger.Post(ctx, act, entry); err != nil {
			return err
		}
	}
	return captures.Release(ctx, act, r.CaptureID, portions(r.Items))
}

// Inquire asks the provider what became of a refund that is under way and
// records the answer. A refund that stayed in sending was interrupted and
// becomes unknown first; one that is being sent right now is left alone.
func (s *Service) Inquire(ctx context.Context, authority string, id ID) error {
	actor := auth.System(authority)
	var (
		ask *providers.InquiryRequest
		r   Refund
		m   providers.Merchant
	)
	err := postgres.InTx(ctx, s.DB, auth.System(authority), func(act postgres.Act) (err error) {
		ask = nil
		if _, r, err = lockBoth(ctx, act, id); err != nil || !r.Status.underWay() {
			return err
		}
		if r.Status == Sending && !interrupted(r, act.Now) {
			return nil
		}
		r.Inquiries++
		if r.Status == Sending {
			if err := s.move(ctx, act, &r, Unknown, "interrupted"); err != nil {
				return err
			}
		}
		r.NextInquiry = nextInquiry(r, act.Now)
		if err := update(ctx, act, r); err != nil {
			return err
		}
		if _, m, err = s.Merchants.Open(ctx, act, r.MerchantID); err != nil {
			return err
		}
		ask, err = s.inquiryAbout(ctx, act, r)
		return err
	})
	if err != nil || ask == nil {
		return err
	}
	inquirer, err := providers.Find[providers.Inquirer](s.Providers, r.Provider)
	if err != nil {
		return err
	}
	event, err := inquirer.Inquire(ctx, m, *ask)
	if err != nil {
		return err
	}
	return s.record(ctx, actor, id, func(act postgres.Act, r Refund) (providers.RefundResult, error) {
		// Another refund of the payment, sent while we asked, may be the one that the answer is about.
		others, err := otherTransactions(ctx, act, r)
		if err != nil {
			return providers.RefundResult{}, err
		}
		if !slices.Equal(others, ask.OtherRefunds) {
			return providers.RefundResult{Outcome: providers.Unknown, Reason: "other_refund_meanwhile"}, nil
		}
		return providers.RefundResult{Outcome: event.Outcome, TransactionID: event.TransactionID, Reason: event.Reason}, nil
	})
}

func (s *Service) inquiryAbout(ctx context.Context, act postgres.Act, r Refund) (*providers.InquiryRequest, error) {
	p, err := payments.FindInTx(ctx, act, r.PaymentID)
	if err != nil {
		return nil, err
	}
	c, err := payments.FindCapture(ctx, act, r.CaptureID)
	if err != nil {
		return nil, err
	}
	others, err := otherTransactions(ctx, act, r)
	return &providers.InquiryRequest{
		Reference: p.Reference, TransactionID: c.TransactionID, CreatedAt: p.CreatedAt, RefundReference: r.Reference,
		RefundTransactionID: r.Transaction, RefundAmount: r.Amount, OtherRefunds: others, RequestID: payments.NewRequestID(), Now: act.Now,
	}, err
}

// ConfirmBySettlement takes a line of the provider's settlement as proof that
// a refund was carried out: one that is sent or unknown becomes done, and the
// refund counts as settled. Doing it again changes nothing.
func (s *Service) ConfirmBySettlement(ctx context.Context, act postgres.Act, id ID, transaction string) error {
	d, r, err := lockBoth(ctx, act, id)
	if err != nil {
		return err
	}
	if r.Status.underWay() {
		if transaction != "" {
			r.Transaction = transaction
		}
		if err := s.finish(ctx, act, d, &r, "settlement"); err != nil {
			return err
		}
	}
	if r.Status != Done {
		return ErrState.With("a %s refund cannot be settled", r.Status)
	}
	if r.SettledAt != nil {
		return nil
	}
	r.SettledAt = &act.Now
	if err := update(ctx, act, r); err != nil {
		return err
	}
	return s.auditSettled(ctx, act, r, "refund.settle")
}

// Unsettle undoes the settled mark for a match that was revoked; a refund that
// is done stays done. Doing it again changes nothing.
func (s *Service) Unsettle(ctx context.Context, act postgres.Act, id ID) error {
	_, r, err := lockBoth(ctx, act, id)
	if err != nil || r.SettledAt == nil {
		return err
	}
	r.SettledAt = nil
	if err := update(ctx, act, r); err != nil {
		return err
	}
	return s.auditSettled(ctx, act, r, "refund.unsettle")
}

func (s *Service) auditSettled(ctx context.Context, act postgres.Act, r Refund, verb string) error {
	return audit.Record(ctx, act, audit.Event{
		Actor: act.Actor, At: act.Now, Act: verb, ObjectKind: "refund", ObjectID: r.ID.String(),
		After: map[string]any{"status": r.Status, "settled": r.SettledAt != nil, "transaction": r.Transaction},
	})
}
