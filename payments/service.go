package payments

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/providers"
)

// uuidText reads a bare uuid out of JSON that PostgreSQL made.
type uuidText = uuid.UUID

// Service holds the use cases of payments. Jobs only inserts.
type Service struct {
	DB        postgres.DB
	Merchants *merchants.Service
	Providers providers.Registry
	Jobs      *river.Client[pgx.Tx]

	Random    io.Reader
	PublicURL string // where providers and browsers reach us, without a slash at the end
}

// Create asks for a payment of all outstanding charges of a dossier. It makes no second payment
// when the dossier has a live payment with the same provider, or when a payment has the same
// idempotency key: it returns this payment, and created is false. Our reference and the attempt are
// committed before the provider is asked for a checkout. When the provider gives no clear answer,
// the payment is unknown and the error OutcomeUnknown.
func (s *Service) Create(ctx context.Context, actor auth.Actor, dossierCode string, r Request) (p Payment, created bool, err error) {
	if err := auth.Require(actor, auth.PermPaymentCreate); err != nil {
		return Payment{}, false, err
	}
	if err := r.validate(); err != nil {
		return Payment{}, false, err
	}
	checkouter, err := providers.Find[providers.Checkouter](s.Providers, r.Provider)
	if err != nil {
		return Payment{}, false, fault.New(fault.Invalid, "payments.provider", "no such provider").
			At("/provider", "is not a payment provider")
	}
	var (
		d dossiers.Dossier
		m providers.Merchant
	)
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		if d, err = dossiers.Lock(ctx, act, dossierCode); err != nil {
			return err
		}
		if p, created, err = s.findOrCreate(ctx, act, d, r); err != nil {
			return err
		}
		_, m, err = s.Merchants.Open(ctx, act, p.MerchantID)
		return err
	})
	if postgres.Constraint(err) == "payment_idempotency_key" {
		return Payment{}, false, ErrKeyReused
	}
	if err != nil || p.Checkout != nil || !p.Status.live() {
		return p, created, err
	}
	p, err = s.checkout(ctx, checkouter, m, d, p, r.PayerIP)
	return p, created, err
}

func (s *Service) findOrCreate(ctx context.Context, act postgres.Act, d dossiers.Dossier, r Request) (Payment, bool, error) {
	hash := r.hash(d.Code)
	if r.IdempotencyKey != "" {
		p, err := selectOne(ctx, act, ` where authority = $1 and idempotency_key = $2`, act.Actor.Authority, r.IdempotencyKey)
		if err == nil && !bytes.Equal(p.requestHash, hash) {
			return Payment{}, false, ErrKeyReused
		}
		if !ErrNotFound.Is(err) {
			return p, false, err
		}
	}
	if d.Undeliverable != "" {
		return Payment{}, false, dossiers.ErrUndeliverable
	}
	p, err := findLive(ctx, act, d.ID)
	if err == nil && p.Provider != r.Provider {
		return Payment{}, false, ErrOtherLive.With("payment %s with %s is live: cancel it first", p.ID, p.Provider)
	}
	if !ErrNotFound.Is(err) {
		return p, false, err
	}
	var (
		open  []dossiers.Paid
		total int64
	)
	for _, c := range d.Charges {
		if left := c.Outstanding(); left > 0 {
			open = append(open, dossiers.Paid{Charge: c, Amount: left})
			total += left
		}
	}
	if total == 0 {
		return Payment{}, false, ErrNothingDue
	}
	p, err = s.create(ctx, act, d, r, open, total, hash)
	return p, true, err
}

func (s *Service) create(
	ctx context.Context,
	act postgres.Act,
	d dossiers.Dossier,
	r Request,
	open []dossiers.Paid,
	total int64,
	hash []byte,
) (Payment, error) {
	merchantID, err := merchants.FindLive(ctx, act, r.Provider)
	if err != nil {
		return Payment{}, err
	}
	_, m, err := s.Merchants.Open(ctx, act, merchantID)
	if err != nil {
		return Payment{}, err
	}
	reference, err := ident.NewReference(s.Random)
	if err != nil {
		return Payment{}, err
	}
	// Providers keep times to the second, so the stored times must have no fractions.
	now := act.Now.Truncate(time.Second)
	p := Payment{
		ID: ident.New[paymentKind](), Authority: d.Authority, DossierID: d.ID, MerchantID: merchantID, Provider: r.Provider,
		Reference: reference, Amount: money.Amount{Currency: d.Currency, Minor: total}, Status: Pending,
		ReturnURL: r.ReturnURL, Locale: r.locale(), CreatedAt: now, ExpiresAt: now.Add(lifetime(m)), StatusAt: now, requestHash: hash,
	}
	p.NextInquiry = nextInquiry(p, now)
	if err := insertPayment(ctx, act, p, open, r.IdempotencyKey); err != nil {
		return Payment{}, err
	}
	if err := insertAttempt(ctx, act, p); err != nil {
		return Payment{}, err
	}
	return p, audit.Record(ctx, act, audit.Event{
		Actor: act.Actor, At: now, Act: "payment.create", ObjectKind: "payment", ObjectID: p.ID.String(),
		After: map[string]any{"provider": p.Provider, "amount": p.Amount.Minor, "reference": p.Reference},
	})
}

// checkout asks the provider with no transaction open, and then stores the answer.
func (s *Service) checkout(
	ctx context.Context,
	provider providers.Checkouter,
	m providers.Merchant,
	d dossiers.Dossier,
	p Payment,
	payerIP string,
) (Payment, error) {
	answer, askErr := provider.Checkout(ctx, m, providers.CheckoutRequest{
		Reference: p.Reference, Amount: p.Amount, Description: "Nop phi ho so " + d.Code,
		ReturnURL: fmt.Sprintf("%s/callbacks/%s/%s/return", s.PublicURL, p.Provider, p.MerchantID),
		Locale:    p.Locale, PayerIP: payerIP, CreatedAt: p.CreatedAt, ExpiresAt: p.ExpiresAt,
	})
	err := postgres.InTx(ctx, s.DB, auth.System(p.Authority), func(act postgres.Act) error {
		locked, err := lock(ctx, act, p.ID)
		if err != nil {
			return err
		}
		p = locked
		switch {
		case askErr == nil:
			p.Checkout = &answer
			if _, err := act.Exec(ctx, `
				with a as (update payments.attempt set status = 'sent', status_at = $3 where payment_id = $1 and status = 'created')
				update payments.payment set checkout = $2 where id = $1`, p.ID, answer, act.Now); err != nil {
				return err
			}
			return nil
		case !p.Status.live():
			return nil
		case fault.KindOf(askErr) == fault.OutcomeUnknown:
			return s.moveNow(ctx, act, &p, Unknown, "checkout_unknown")
		default:
			return s.moveNow(ctx, act, &p, Failed, "checkout_not_sent")
		}
	})
	if err != nil {
		return p, err
	}
	return p, askErr
}

// Find returns a payment of the actor's authority with attempts, captures and timeline, or ErrNotFound.
func (s *Service) Find(ctx context.Context, actor auth.Actor, id ID) (d Details, err error) {
	if err := auth.Require(actor, auth.PermPaymentRead); err != nil {
		return Details{}, err
	}
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		if d.Payment, err = selectOne(ctx, tx, ` where id = $1`, id); err != nil {
			return err
		}
		if d.Captures, err = selectCaptures(ctx, tx, ` where c.payment_id = $1 order by c.recorded_at, c.id`, id); err != nil {
			return err
		}
		codes, err := dossiers.Codes(ctx, tx, []dossiers.ID{d.DossierID})
		if err != nil {
			return err
		}
		d.DossierCode = codes[d.DossierID]
		d.Attempts, d.Callbacks, err = selectTimeline(ctx, tx, id)
		return err
	})
	return d, err
}

// FindByReference returns the payment with our reference at one merchant account. The page to which
// a payer's browser returns shows its status and nothing personal.
func (s *Service) FindByReference(ctx context.Context, merchant merchants.ID, reference string) (p Payment, err error) {
	authority, err := s.Merchants.AuthorityOf(ctx, merchant)
	if err != nil {
		return Payment{}, err
	}
	err = postgres.ReadTx(ctx, s.DB.Pool, authority, func(tx pgx.Tx) error {
		p, err = selectOne(ctx, tx, ` where reference = $1 and merchant_account_id = $2`, reference, merchant)
		return err
	})
	return p, err
}

// Filter narrows a list of payments; zero members do not filter.
type Filter struct {
	DossierCode string
	Status      Status
	Provider    string
	Reference   string
	After       ID // last id of the page before
	Limit       int
}

// Listed is a payment with the code of its dossier.
type Listed struct {
	Payment
	DossierCode string
}

// List returns payments of the actor's authority, newest first. next is zero at the end.
func (s *Service) List(ctx context.Context, actor auth.Actor, f Filter) (list []Listed, next ID, err error) {
	if err := auth.Require(actor, auth.PermPaymentRead); err != nil {
		return nil, ID{}, err
	}
	f.Limit = page.Limit(f.Limit)
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		found, err := selectPayments(ctx, tx, `
			where authority = (select app.authority())
				and (@code = '' or dossier_id = (select d.id from dossiers.dossier d where d.authority = (select app.authority()) and d.code = @code))
				and (@status = '' or status = @status) and (@provider = '' or provider = @provider)
				and (@reference = '' or reference = @reference)
				and (@after::uuid is null or id < @after)
			order by id desc limit @limit`, pgx.StrictNamedArgs{
			"code": f.DossierCode, "status": string(f.Status), "provider": f.Provider, "reference": f.Reference,
			"after": f.After, "limit": f.Limit + 1,
		})
		if err != nil {
			return err
		}
		found, next = page.Cut(found, f.Limit, func(x Payment) ID { return x.ID })
		list, err = withCodes(ctx, tx, found)
		return err
	})
	return list, next, err
}

func withCodes(ctx context.Context, tx pgx.Tx, found []Payment) ([]Listed, error) {
	ids := make([]dossiers.ID, len(found))
	for i, p := range found {
		ids[i] = p.DossierID
	}
	codes, err := dossiers.Codes(ctx, tx, ids)
	list := make([]Listed, len(found))
	for i, p := range found {
		list[i] = Listed{p, codes[p.DossierID]}
	}
	return list, err
}

// Cancel ends a pending payment; for any other status it fails with ErrStatus. When the payer still
// pays, the money is recorded as a late capture and given back.
func (s *Service) Cancel(ctx context.Context, actor auth.Actor, id ID) (p Payment, err error) {
	if err := auth.Require(actor, auth.PermPaymentCreate); err != nil {
		return Payment{}, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		if p, err = lock(ctx, act, id); err != nil {
			return err
		}
		if p.Status == Cancelled {
			return nil
		}
		return s.moveNow(ctx, act, &p, Cancelled, "")
	})
	return p, err
}

// moveNow is move in a round trip of its own.
func (s *Service) moveNow(ctx context.Context, act postgres.Act, p *Payment, to Status, reason string) error {
	b := &pgx.Batch{}
	if err := s.move(b, act, p, to, reason); err != nil {
		return err
	}
	return act.SendBatch(ctx, b).Close()
}

// move takes one edge of a locked payment; b writes it and audits it by the edge's name.
func (s *Service) move(b *pgx.Batch, act postgres.Act, p *Payment, to Status, reason string) error {
	name, err := EdgeName(p.Status, to)
	if err != nil {
		return err
	}
	before := p.Status
	p.Status, p.StatusAt, p.Reason = to, act.Now, reason
	p.NextInquiry = nextInquiry(*p, act.Now)
	updatePayment(b, *p)
	return audit.Queue(b, audit.Event{
		Actor: act.Actor, At: act.Now, Act: "payment." + name, ObjectKind: "payment", ObjectID: p.ID.String(), Reason: reason,
		Before: map[string]any{"status": before}, After: map[string]any{"status": to, "captured": p.Captured},
	})
}

func (r Request) validate() error {
	e := ErrInvalid
	if r.Locale != "" && r.Locale != "vi" && r.Locale != "en" {
		e = e.At("/locale", "must be vi or en")
	}
	if r.ReturnURL != "" {
		if u, err := url.Parse(
			r.ReturnURL,
		); err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" ||
			len(r.ReturnURL) > 255 {
			e = e.At("/return_url", "must be an http address of at most 255 characters")
		}
	}
	if len(e.Fields) > 0 {
		return e
	}
	return nil
}

func (r Request) locale() string {
	if r.Locale == "" {
		return "vi"
	}
	return r.Locale
}

func (r Request) hash(dossierCode string) []byte {
	text, _ := json.Marshal([]string{dossierCode, r.Provider, r.ReturnURL, r.locale()}) // strings always marshal
	sum := sha256.Sum256(text)
	return sum[:]
}
