package remittance

import (
	"context"
	"time"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/approval"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
)

// VoucherKind says which money of a split moves where.
type VoucherKind string

// The kinds.
const (
	ToWaiting   VoucherKind = "waiting"       // all of the phí, from the bank to the treasury's waiting account
	BudgetPhi   VoucherKind = "budget_phi"    // the budget's part of the phí, from where it is
	BudgetLePhi VoucherKind = "budget_le_phi" // the lệ phí, from the bank
)

// VoucherStatus of a voucher.
type VoucherStatus string

// The statuses.
const (
	Proposed VoucherStatus = "proposed"
	Approved VoucherStatus = "approved"
	Rejected VoucherStatus = "rejected"
)

// VoucherRequest proposes to move the money of a split. It carries no amount: the amount is the money of the
// split less the money that refunds took.
type VoucherRequest struct {
	Kind         VoucherKind
	Account      string // code of the bank account that pays; empty when the waiting account does
	Number       string
	DocumentDate calendar.Date
	Treasury     string
}

// Voucher moves the money of a split, in minor units of the split's currency.
type Voucher struct {
	ID           VoucherID
	Authority    string
	Split        SplitID
	Kind         VoucherKind
	Amount       int64
	Account      string
	Number       string
	DocumentDate calendar.Date
	Treasury     string
	ProposedAt   time.Time
	ProposedBy   string
	Status       VoucherStatus
	Reason       string
	DecidedAt    *time.Time
	DecidedBy    string
}

func (v Voucher) asks(q VoucherRequest) bool {
	return v.Kind == q.Kind && v.Account == q.Account && v.Number == q.Number && v.DocumentDate == q.DocumentDate &&
		v.Treasury == q.Treasury
}

// line is the money of one fee type in a voucher.
type line struct {
	FeeType string
	Amount  int64
}

// Propose writes a voucher to move the money of a split (maker). The money moves only with Approve. The same
// number and content again gives the first voucher and created is false; ErrOtherContent when the content
// differs.
func (s *Service) Propose(ctx context.Context, actor auth.Actor, id SplitID, q VoucherRequest) (v Voucher, created bool, err error) {
	if err := auth.Require(actor, auth.PermRemitPropose); err != nil {
		return Voucher{}, false, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		created = false
		if err := q.validate(calendar.On(act.Now)); err != nil {
			return err
		}
		if err := lockAlone(ctx, act, actor.Authority); err != nil {
			return err
		}
		split, err := selectSplit(ctx, act, id)
		if err != nil {
			return err
		}
		for _, earlier := range split.Vouchers {
			if earlier.Kind == q.Kind && earlier.Number == q.Number {
				if v = earlier; !earlier.asks(q) {
					return ErrOtherContent
				}
				return nil
			}
		}
		if q.DocumentDate.Before(split.PeriodTo) {
			return ErrInvalid.At("/document_date", "must not be before the end of the period")
		}
		if q.Account != "" {
			if err := BankAccount(ctx, act, q.Account, split.Currency); err != nil {
				return err
			}
		}
		lines, err := split.lines(q.Kind, q.Account)
		if err != nil {
			return err
		}
		v = Voucher{
			ID:           ident.New[voucherKind](),
			Authority:    actor.Authority,
			Split:        id,
			Kind:         q.Kind,
			Amount:       total(lines),
			Account:      q.Account,
			Number:       q.Number,
			DocumentDate: q.DocumentDate,
			Treasury:     q.Treasury,
			ProposedAt:   act.Now,
			ProposedBy:   actor.ID,
			Status:       Proposed,
		}
		created = true
		if err := insertVoucher(ctx, act, v); err != nil {
			return err
		}
		return audit.Record(ctx, act, v.audited(act, "voucher.propose", ""))
	})
	return v, created, err
}

func (q VoucherRequest) validate(today calendar.Date) error {
	switch {
	case q.Kind != ToWaiting && q.Kind != BudgetPhi && q.Kind != BudgetLePhi:
		return ErrInvalid.At("/kind", "is no kind of voucher")
	case q.Number == "":
		return ErrInvalid.At("/number", "must be the number of the document")
	case q.Treasury == "":
		return ErrInvalid.At("/treasury", "must name the treasury")
	case q.DocumentDate.IsZero() || q.DocumentDate.After(today):
		return ErrInvalid.At("/document_date", "must be a day up to today")
	}
	return nil
}

// Approve moves the voucher's money in the book; the checker is not the maker. ErrChanged when refunds took
// from the money since the proposal, ErrStatus when another voucher has moved the money. Approving again by
// the same checker changes nothing.
func (s *Service) Approve(ctx context.Context, actor auth.Actor, id VoucherID) (Voucher, error) {
	return s.decide(ctx, actor, id, Approved, "", func(act postgres.Act, split Split, v Voucher) error {
		lines, err := split.lines(v.Kind, v.Account)
		if err != nil {
			return err
		}
		if total(lines) != v.Amount {
			return ErrChanged.With("%d are left to move, the voucher says %d", total(lines), v.Amount)
		}
		date, err := ledger.OpenDate(ctx, act, v.Authority, v.DocumentDate)
		if err != nil {
			return err
		}
		_, err = ledger.Post(ctx, act, moved(v, split.Currency, lines, date, act.Now, actor.ID))
		return err
	})
}

// Reject ends a proposed voucher, with a reason. No money moves.
func (s *Service) Reject(ctx context.Context, actor auth.Actor, id VoucherID, reason string) (Voucher, error) {
	if reason == "" {
		return Voucher{}, ErrInvalid.At("/reason", "must say why")
	}
	return s.decide(ctx, actor, id, Rejected, reason, func(postgres.Act, Split, Voucher) error { return nil })
}

func (s *Service) decide(
	ctx context.Context,
	actor auth.Actor,
	id VoucherID,
	to VoucherStatus,
	reason string,
	body func(postgres.Act, Split, Voucher) error,
) (v Voucher, err error) {
	if err := auth.Require(actor, auth.PermRemitApprove); err != nil {
		return Voucher{}, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		if err := lockAlone(ctx, act, actor.Authority); err != nil {
			return err
		}
		if v, err = selectVoucher(ctx, act, id); err != nil {
			return err
		}
		repeated, err := approval.Check(actor, approval.Proposal{
			MadeBy: []string{v.ProposedBy}, Open: v.Status == Proposed, DecidedBy: v.DecidedBy, Same: v.Status == to,
		})
		if err != nil || repeated {
			return err
		}
		split, err := selectSplit(ctx, act, v.Split)
		if err != nil {
			return err
		}
		if err := body(act, split, v); err != nil {
			return err
		}
		v.Status, v.Reason, v.DecidedAt, v.DecidedBy = to, reason, &act.Now, actor.ID
		if err := insertDecision(ctx, act, v); err != nil {
			return err
		}
		return audit.Record(
			ctx,
			act,
			v.audited(act, "voucher."+map[VoucherStatus]string{Approved: "approve", Rejected: "reject"}[to], reason),
		)
	})
	return v, err
}

func (v Voucher) audited(act postgres.Act, verb, reason string) audit.Event {
	return audit.Event{
		Actor:      act.Actor,
		At:         act.Now,
		Act:        verb,
		ObjectKind: "voucher",
		ObjectID:   v.ID.String(),
		Reason:     reason,
		After: map[string]any{
			"status":  v.Status,
			"kind":    v.Kind,
			"split":   v.Split,
			"amount":  v.Amount,
			"number":  v.Number,
			"account": v.Account,
		},
	}
}

// lines computes the money that a voucher of the kind would move now, per fee type. ErrStatus when the money
// has already moved, or when it is not in the given account.
func (s Split) lines(kind VoucherKind, account string) ([]line, error) {
	gone := map[VoucherKind]bool{}
	for _, v := range s.Vouchers {
		gone[v.Kind] = gone[v.Kind] || v.Status == Approved
	}
	switch {
	case gone[kind]:
		return nil, ErrStatus.With("the money of this split moved already (%s)", kind)
	case kind == ToWaiting && gone[BudgetPhi]:
		return nil, ErrStatus.With("the budget has the phí already")
	case kind == BudgetPhi && gone[ToWaiting] != (account == ""):
		return nil, ErrStatus.With("the phí is in the bank until a voucher brings it to the waiting account, and there afterwards")
	case kind != BudgetPhi && account == "":
		return nil, ErrInvalid.At("/account", "must be the bank account that pays")
	}
	var list []line
	for _, p := range s.Parts {
		if kind.moves(p) > 0 {
			list = append(list, line{p.FeeType, kind.moves(p)})
		}
	}
	if len(list) == 0 {
		return nil, ErrNothing
	}
	return list, nil
}

// moves returns the amount that a voucher of the kind moves of a part.
func (k VoucherKind) moves(p Part) int64 {
	budget, retained := p.Budget-p.TakenBudget, p.Retained-p.TakenRetained
	switch {
	case (k == BudgetLePhi) != (p.Kind == schedule.LePhi):
		return 0
	case k == ToWaiting:
		return budget + retained
	default:
		return budget
	}
}

func total(lines []line) (sum int64) {
	for _, l := range lines {
		sum += l.Amount
	}
	return sum
}
