package refunds

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/approval"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/captures"
	"github.com/doisoat/doisoat/providers"
)

// decisionDays is the target for deciding on a refund, in working days.
const decisionDays = 5

// Service holds the use cases of refunds. Jobs only inserts.
type Service struct {
	DB        postgres.DB
	Payments  *payments.Service
	Fees      *fees.Service
	Providers providers.Registry
	Jobs      *river.Client[pgx.Tx]

	Random io.Reader
}

// Request asks for money of a dossier back and reserves it at once, so that all
// requests together never exceed the captures: the request that would is refused
// with ErrExceeds. The same idempotency key gives the first refund, and created
// is false.
func (s *Service) Request(ctx context.Context, actor auth.Actor, dossierCode string, q Request) (r Refund, created bool, err error) {
	if err := auth.Require(actor, auth.PermRefundRequest); err != nil {
		return Refund{}, false, err
	}
	if !slices.Contains(schedule.RefundReasons(), q.Reason) {
		return Refund{}, false, ErrInvalid.At("/reason", "is not a refund reason")
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		r, created, err = s.request(ctx, act, dossierCode, q)
		return err
	})
	if postgres.Constraint(err) == "refund_idempotency_key" {
		return Refund{}, false, ErrKeyReused
	}
	return r, created, err
}

func (s *Service) request(ctx context.Context, act postgres.Act, code string, q Request) (Refund, bool, error) {
	// The lock comes first: of two requests with one key the later must see the refund of the first.
	d, err := dossiers.Lock(ctx, act, code)
	if err != nil {
		return Refund{}, false, err
	}
	hash := q.hash(code)
	if q.IdempotencyKey != "" {
		r, err := selectOne(ctx, act, ` where r.authority = $1 and r.idempotency_key = $2`, act.Actor.Authority, q.IdempotencyKey)
		if err == nil && !bytes.Equal(r.requestHash, hash) {
			return Refund{}, false, ErrKeyReused
		}
		if !ErrNotFound.Is(err) {
			return r, false, err
		}
	}
	taken, err := payments.CapturesOf(ctx, act, d.ID)
	if err != nil {
		return Refund{}, false, err
	}
	if total := refundable(taken); q.ExpectedRefundable != nil && *q.ExpectedRefundable != total {
		return Refund{}, false, ErrChanged.With("refundable are %d, not %d", total, *q.ExpectedRefundable)
	}
	capture, items, err := choose(taken, q.Items)
	if err != nil {
		return Refund{}, false, err
	}
	r, err := s.open(ctx, act, d, capture, items, proposal{reason: q.Reason, note: q.Note, origin: Manual, key: q.IdempotencyKey, hash: hash})
	return r, true, err
}

type proposal struct {
	reason, note, key string
	origin            Origin
	hash              []byte
}

// open reserves the money and writes the refund as requested.
func (s *Service) open(ctx context.Context, act postgres.Act, d dossiers.Dossier, c payments.Capture,
	items []Item, why proposal,
) (Refund, error) {
	err := captures.Reserve(ctx, act, c.ID, portions(items))
	if payments.ErrRefundCap.Is(err) {
		return Refund{}, ErrExceeds.Because(err)
	}
	if err != nil {
		return Refund{}, err
	}
	reference, err := ident.NewReference(s.Random)
	if err != nil {
		return Refund{}, err
	}
	now := act.Now
	r := Refund{
		ID: ident.New[refundKind](), Authority: d.Authority, DossierID: d.ID, DossierCode: d.Code, PaymentID: c.PaymentID,
		CaptureID: c.ID, MerchantID: c.MerchantID, Provider: c.Provider, Reference: reference, Reason: why.reason,
		Origin: why.origin, Route: s.routeOf(c), Status: Requested, Items: items, Note: why.note,
		Amount:   money.Amount{Currency: c.Amount.Currency, Minor: sum(items)},
		Deadline: calendar.On(now).AddWorkingDays(decisionDays), RequestedAt: now, RequestedBy: act.Actor.ID, StatusAt: now,
		requestHash: why.hash,
	}
	if err := insertRefund(ctx, act, r, why.key); err != nil {
		return Refund{}, err
	}
	return r, audit.Record(ctx, act, audit.Event{
		Actor: act.Actor, At: now, Act: "refund.request", ObjectKind: "refund", ObjectID: r.ID.String(), Reason: r.Reason,
		After: map[string]any{"amount": r.Amount.Minor, "capture": c.ID, "origin": r.Origin, "route": r.Route},
	})
}

// Approve decides for a refund: the checker differs from the maker, the book
// owes the money to the payer from now on, and the place of the money decides
// the route. Approve queues the job that sends the refund by its provider. A
// second approval by the same checker changes nothing.
func (s *Service) Approve(ctx context.Context, actor auth.Actor, id ID, note string) (r Refund, err error) {
	if err := auth.Require(actor, auth.PermRefundApprove); err != nil {
		return Refund{}, err
	}
	err = s.decide(ctx, actor, id, Approved, &r, func(act postgres.Act, locked *Locked) error {
		if err := locked.Move(ctx, act, Approved, note); err != nil {
			return err
		}
		takings, err := s.locate(ctx, act, locked)
		if err != nil {
			return err
		}
		date, err := ledger.OpenDate(ctx, act, locked.Authority, calendar.On(act.Now))
		if err != nil {
			return err
		}
		if entry, ok := approved(locked.Refund, takings, date, act.Now, actor.ID); ok {
			if _, err := ledger.Post(ctx, act, entry); err != nil {
				return err
			}
		}
		if err := locked.Move(ctx, act, Reserved, ""); err != nil {
			return err
		}
		r = locked.Refund
		if locked.Route != ByProvider {
			return nil
		}
		_, err = s.Jobs.InsertTx(ctx, act, SendRefund{Authority: locked.Authority, Refund: id}, UnlessQueued())
		return err
	})
	return r, err
}

// Reject decides against a refund and gives its reservation back.
func (s *Service) Reject(ctx context.Context, actor auth.Actor, id ID, reason string) (r Refund, err error) {
	if err := auth.Require(actor, auth.PermRefundApprove); err != nil {
		return Refund{}, err
	}
	if reason == "" {
		return Refund{}, ErrInvalid.At("/reason", "must say why")
	}
	err = s.decide(ctx, actor, id, Rejected, &r, func(act postgres.Act, locked *Locked) error {
		if err := locked.Move(ctx, act, Rejected, reason); err != nil {
			return err
		}
		r = locked.Refund
		return captures.Release(ctx, act, locked.CaptureID, portions(locked.Items))
	})
	return r, err
}

// decide locks dossier and refund, asks approval.Check, and sets found to the
// refund as it stands; body runs for a first decision.
func (s *Service) decide(ctx context.Context, actor auth.Actor, id ID, to Status, found *Refund,
	body func(act postgres.Act, r *Locked) error,
) error {
	return postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		r, err := Lock(ctx, act, id)
		if err != nil {
			return err
		}
		*found = r.Refund
		repeated, err := approval.Check(actor, approval.Proposal{
			MadeBy: []string{r.RequestedBy}, Open: r.Status == Requested, DecidedBy: r.DecidedBy,
			Same: (r.Status == Rejected) == (to == Rejected),
		})
		if err != nil || repeated {
			return err
		}
		return body(act, r)
	})
}

// Find returns a refund of the actor's authority, or ErrNotFound.
func (s *Service) Find(ctx context.Context, actor auth.Actor, id ID) (r Refund, err error) {
	if err := auth.Require(actor, auth.PermRefundRead); err != nil {
		return Refund{}, err
	}
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		r, err = selectOne(ctx, tx, ` where r.id = $1`, id)
		return err
	})
	return r, err
}

// Filter narrows a list of refunds; zero members do not filter.
type Filter struct {
	DossierCode string
	Status      Status
	After       ID // last id of the page before
	Limit       int
}

// List returns refunds of the actor's authority, newest first. next is zero at the end.
func (s *Service) List(ctx context.Context, actor auth.Actor, f Filter) (list []Refund, next ID, err error) {
	if err := auth.Require(actor, auth.PermRefundRead); err != nil {
		return nil, ID{}, err
	}
	f.Limit = page.Limit(f.Limit)
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		list, err = selectRefunds(ctx, tx, `
			where r.authority = (select app.authority()) and (@code = '' or d.code = @code) and (@status = '' or r.status = @status)
				and (@after::uuid is null or r.id < @after)
			order by r.id desc limit @limit`, pgx.StrictNamedArgs{
			"code": f.DossierCode, "status": string(f.Status), "after": f.After, "limit": f.Limit + 1,
		})
		return err
	})
	list, next = page.Cut(list, f.Limit, func(x Refund) ID { return x.ID })
	return list, next, err
}

// refundable sums the money of captures that no refund has reserved.
func refundable(taken []payments.Capture) int64 {
	var total int64
	for _, c := range taken {
		total += c.Amount.Minor - c.Reserved
	}
	return total
}

// choose finds the one capture that can give back the items, oldest first; no
// items means everything left of the only capture that has something left.
func choose(taken []payments.Capture, items []Item) (payments.Capture, []Item, error) {
	if len(items) == 0 {
		return chooseAll(taken)
	}
	seen := make(map[dossiers.ChargeID]bool, len(items))
	for _, i := range items {
		if i.Amount <= 0 {
			return payments.Capture{}, nil, ErrInvalid.At("/items", "amounts must be above zero")
		}
		if seen[i.Charge] {
			return payments.Capture{}, nil, ErrInvalid.At("/items", "a charge, and the excess, may be named once")
		}
		seen[i.Charge] = true
	}
	spread := false
	for _, c := range taken {
		left := map[dossiers.ChargeID]int64{}
		for _, i := range leftOf(c) {
			left[i.Charge] += i.Amount
		}
		fits := true
		for _, i := range items {
			spread = spread || left[i.Charge] > 0
			left[i.Charge] -= i.Amount
			fits = fits && left[i.Charge] >= 0
		}
		if fits {
			return c, items, nil
		}
	}
	if spread && len(taken) > 1 {
		return payments.Capture{}, nil, ErrSeveral
	}
	return payments.Capture{}, nil, ErrExceeds
}

func chooseAll(taken []payments.Capture) (payments.Capture, []Item, error) {
	var (
		found payments.Capture
		items []Item
	)
	for _, c := range taken {
		left := leftOf(c)
		if len(left) == 0 {
			continue
		}
		if len(items) > 0 {
			return payments.Capture{}, nil, ErrSeveral
		}
		found, items = c, left
	}
	if len(items) == 0 {
		return payments.Capture{}, nil, ErrNothingLeft
	}
	return found, items, nil
}

// leftOf lists the items that a capture can still give back.
func leftOf(c payments.Capture) []Item {
	var items []Item
	for _, a := range c.Allocations {
		if left := a.Amount - a.Reserved; left > 0 {
			items = append(items, Item{a.Charge, left})
		}
	}
	if left := c.Excess - c.ExcessReserved; left > 0 {
		items = append(items, Item{Amount: left})
	}
	return items
}

func portions(items []Item) []captures.Portion {
	list := make([]captures.Portion, len(items))
	for i, item := range items {
		list[i] = captures.Portion{Charge: item.Charge, Amount: item.Amount}
	}
	return list
}

func sum(items []Item) int64 {
	var total int64
	for _, i := range items {
		total += i.Amount
	}
	return total
}

// paidOf pairs a refund's items with the charges they belong to; excess has none.
func paidOf(d dossiers.Dossier, r Refund) []dossiers.Paid {
	var list []dossiers.Paid
	for _, i := range r.Items {
		for _, c := range d.Charges {
			if c.ID == i.Charge {
				list = append(list, dossiers.Paid{Charge: c, Amount: i.Amount})
			}
		}
	}
	return list
}

func (q Request) hash(dossierCode string) []byte {
	text, _ := json.Marshal([]any{dossierCode, q.Reason, q.Items, q.Note}) // plain values always marshal
	sum := sha256.Sum256(text)
	return sum[:]
}
