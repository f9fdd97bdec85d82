package refunds

import (
	"context"
	"crypto/sha256"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments"
)

// ProposeForDossier opens proposals for a dossier that will not be delivered, one
// per capture and reason, with the items whose fee says "refund in full" for this
// reason and stage. A person decides about other items; the audit event lists the
// rules. Unpaid charges with this rule are waived and a live payment is cancelled.
// Running it again proposes only items that are left.
func (s *Service) ProposeForDossier(ctx context.Context, authority string, id dossiers.ID, reason string) error {
	return postgres.InTx(ctx, s.DB, auth.System(authority), func(act postgres.Act) error {
		d, err := dossiers.LockByID(ctx, act, id)
		if err != nil {
			return err
		}
		decisions, err := s.decisions(ctx, act, d, reason)
		if err != nil {
			return err
		}
		if err := s.Payments.CancelLive(ctx, act, d.ID); err != nil {
			return err
		}
		captures, err := payments.CapturesOf(ctx, act, d.ID)
		if err != nil {
			return err
		}
		for _, c := range captures {
			if err := s.proposeOnce(ctx, act, d, c, inFull(leftOf(c), decisions), reason); err != nil {
				return err
			}
		}
		return s.waiveUnpaid(ctx, act, d, decisions, reason)
	})
}

// decisions looks up the rule of each charge's fee for a reason at the dossier's stage.
func (s *Service) decisions(ctx context.Context, act postgres.Act, d dossiers.Dossier, reason string,
) (map[dossiers.ChargeID]schedule.RefundDecision, error) {
	norms, err := s.Fees.Schedule(ctx, act, d.Authority, d.PricingDate)
	if err != nil {
		return nil, err
	}
	found := make(map[dossiers.ChargeID]schedule.RefundDecision, len(d.Charges))
	for _, c := range d.Charges {
		fee := schedule.FeeType{}
		for _, f := range norms.FeeTypes {
			if f.Code == c.FeeType && (fee.Code == "" || f.Territory == d.Authority) {
				fee = f
			}
		}
		found[c.ID] = fee.RefundRuleFor(reason, d.Stage, calendar.On(act.Now)).Decision
	}
	return found, nil
}

// inFull keeps the items whose charge is refunded in full. Excess is proposed by its own capture.
func inFull(items []Item, decisions map[dossiers.ChargeID]schedule.RefundDecision) []Item {
	var kept []Item
	for _, i := range items {
		if !i.Charge.IsZero() && decisions[i.Charge] == schedule.RefundFull {
			kept = append(kept, i)
		}
	}
	return kept
}

func (s *Service) waiveUnpaid(ctx context.Context, act postgres.Act, d dossiers.Dossier,
	decisions map[dossiers.ChargeID]schedule.RefundDecision, reason string,
) error {
	var list []dossiers.Waiver
	for _, c := range d.Charges {
		if left := c.Outstanding(); left > 0 && decisions[c.ID] == schedule.RefundFull {
			list = append(list, dossiers.Waiver{Charge: c, Amount: left})
		}
	}
	if len(list) > 0 {
		if err := dossiers.Waive(ctx, act, d, list, list[0].Charge.ID.UUID()); err != nil {
			return err
		}
	}
	rules := map[string]schedule.RefundDecision{}
	for id, decision := range decisions {
		rules[id.String()] = decision
	}
	return audit.Record(ctx, act, audit.Event{
		Actor: act.Actor, At: act.Now, Act: "refund.propose", ObjectKind: "dossier", ObjectID: d.ID.String(), Reason: reason,
		After: map[string]any{"rules": rules, "stage": d.Stage},
	})
}

// ProposeExcess opens a proposal for the excess of a capture: DUPLICATE when no
// charge needed any of the money, otherwise OVERPAID. Running it again changes nothing.
func (s *Service) ProposeExcess(ctx context.Context, authority string, id payments.CaptureID) error {
	return postgres.InTx(ctx, s.DB, auth.System(authority), func(act postgres.Act) error {
		c, err := payments.FindCapture(ctx, act, id)
		if err != nil {
			return err
		}
		d, err := dossiers.LockByID(ctx, act, c.DossierID)
		if err != nil {
			return err
		}
		if c, err = payments.FindCapture(ctx, act, id); err != nil {
			return err
		}
		left := c.Excess - c.ExcessReserved
		if left <= 0 {
			return nil
		}
		reason := "OVERPAID"
		if len(c.Allocations) == 0 {
			reason = "DUPLICATE"
		}
		return s.proposeOnce(ctx, act, d, c, []Item{{Amount: left}}, reason)
	})
}

// proposeOnce opens a proposal unless one was opened for this capture and reason
// before. A refund that a person rejected, or the provider refused, does not
// come back by itself.
func (s *Service) proposeOnce(ctx context.Context, act postgres.Act, d dossiers.Dossier, c payments.Capture,
	items []Item, reason string,
) error {
	if len(items) == 0 {
		return nil
	}
	proposed, err := wasProposed(ctx, act, c.ID, reason)
	if err != nil || proposed {
		return err
	}
	hash := sha256.Sum256([]byte(reason + c.ID.String()))
	_, err = s.open(ctx, act, d, c, items, proposal{reason: reason, origin: Automatic, hash: hash[:]})
	return err
}

// ProposeRepriced proposes, for the actor of the transaction, to give back a part of a capture, because its charges
// were priced again. The caller has locked the dossier; note says why and makes the request of one capture the same each time.
func (s *Service) ProposeRepriced(
	ctx context.Context, act postgres.Act, d dossiers.Dossier, c payments.Capture, items []Item, note string,
) (Refund, error) {
	hash := sha256.Sum256([]byte(note + c.ID.String()))
	return s.open(ctx, act, d, c, items, proposal{reason: "OVERPAID", note: note, origin: Repriced, hash: hash[:]})
}
