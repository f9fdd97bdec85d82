package payments

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/transfers"
)

// Capture is money of the payer that a provider confirms to have taken.
type Capture struct {
	ID             CaptureID
	PaymentID      ID
	DossierID      dossiers.ID
	MerchantID     merchants.ID
	Provider       string
	TransactionID  string
	BankReference  string
	Amount         money.Amount
	Excess         int64 // part that no charge needed: owed back
	Reserved       int64 // promised or given back, excess included
	ExcessReserved int64
	OccurredAt     time.Time
	BusinessDate   calendar.Date
	Evidence       Evidence
	RecordedAt     time.Time
	SettledAt      *time.Time
	Allocations    []Allocation
}

// Allocation is the part of a capture that paid a charge.
type Allocation struct {
	Charge   dossiers.ChargeID
	Amount   int64
	Reserved int64 // promised or given back
}

// Evidence says from which source a capture is known.
type Evidence string

// The kinds of evidence.
const (
	ByCallback  Evidence = "callback"
	ByInquiry   Evidence = "inquiry"
	ByStatement Evidence = "statement"
	ByPersons   Evidence = "identified" // a maker and a checker named the dossier of a bank credit
)

// Subject is the target of an event: the locked dossier and payment, and the
// facts about the event that are read with them.
type Subject struct {
	dossier dossiers.Dossier
	payment Payment
	taken   bool          // the event's capture is recorded
	at      time.Time     // when it happened
	date    calendar.Date // of the capture's entry
}

// Lock queues the statements that lock dossier and payment and read the facts of Subject. found is
// the payment as it was before the lock.
func Lock(b *pgx.Batch, found Payment, e providers.Event, now time.Time, u *Subject) {
	*u = Subject{at: e.OccurredAt}
	if u.at.IsZero() {
		u.at = now
	}
	dossiers.QueueLock(b, found.DossierID, &u.dossier)
	queueLock(b, found.ID, &u.payment)
	captureExists(b, found, e, calendar.On(u.at), &u.taken)
	ledger.QueueOpenDate(b, found.Authority, calendar.On(u.at), &u.date)
}

// lockNow is Lock in a round trip of its own.
func lockNow(ctx context.Context, act postgres.Act, found Payment, e providers.Event) (u Subject, err error) {
	b := &pgx.Batch{}
	Lock(b, found, e, act.Now, &u)
	err = act.SendBatch(ctx, b).Close()
	return u, err
}

// FindForEvent returns the payment that an event names, without a lock, or ErrNotFound. A transfer
// into another account than the merchant's names no payment.
func FindForEvent(ctx context.Context, tx pgx.Tx, account merchants.Account, e providers.Event) (Payment, error) {
	own := account.Settings["account"]
	if e.Reference == "" || (e.Account != "" && own != "" && e.Account != own) {
		return Payment{}, ErrNotFound
	}
	return selectOne(ctx, tx, ` where reference = $1 and merchant_account_id = $2`, e.Reference, account.ID)
}

// Apply queues in w the writes that follow from a provider's event for a locked payment, and
// returns the answer to the provider. It does not record a recorded capture again.
func (s *Service) Apply(
	ctx context.Context, act postgres.Act, w *ledger.Writes, u *Subject, e providers.Event, by Evidence,
) (providers.ReplyKind, error) {
	p := &u.payment
	// The providers' guides check the amount before the status. The answer to an inquiry names no
	// amount when the payment took no money.
	if e.Amount != p.Amount && !payerSetsAmount(*p) && (by == ByCallback || e.Outcome == providers.Succeeded) {
		return providers.ReplyWrongAmount, nil
	}
	switch e.Outcome {
	case providers.Succeeded:
		if u.taken {
			return providers.ReplyAlreadyStored, nil
		}
		if !e.Amount.IsPositive() || e.Amount.Currency != p.Amount.Currency {
			return providers.ReplyWrongAmount, nil
		}
		c := captureOf(*p, e, u.at, by, act.Now)
		return providers.ReplyStored, s.capture(ctx, act.As(auth.System(p.Authority)), w, u.dossier, p, c, u.date, e.Reason)
	case providers.Declined:
		if !p.Status.live() {
			return providers.ReplyAlreadyStored, nil
		}
		return providers.ReplyStored, s.move(&w.Batch, act.As(auth.System(p.Authority)), p, Failed, e.Reason)
	case providers.Unknown:
		if p.Status == Pending {
			return providers.ReplyStored, s.move(&w.Batch, act.As(auth.System(p.Authority)), p, Unknown, e.Reason)
		}
		return providers.ReplyStored, nil
	default:
		return providers.ReplyStored, nil
	}
}

// payerSetsAmount reports whether the payer can type another amount than the payment's, as in a
// banking app. Any amount of such a payment is recorded.
func payerSetsAmount(p Payment) bool {
	return p.Checkout != nil && p.Checkout.Kind != providers.Redirect
}

// captureOf makes the capture of an event, without allocations.
func captureOf(p Payment, e providers.Event, at time.Time, by Evidence, now time.Time) Capture {
	return Capture{
		ID: ident.New[captureKind](), PaymentID: p.ID, DossierID: p.DossierID, MerchantID: p.MerchantID, Provider: p.Provider,
		TransactionID: e.TransactionID, BankReference: e.BankReference, Amount: e.Amount, OccurredAt: at,
		BusinessDate: calendar.On(at), Evidence: by, RecordedAt: now,
	}
}

// capture records taken money. It allocates the money to outstanding charges and keeps the rest as
// excess, issues receipts, posts on date, and queues a refund proposal for the excess.
func (s *Service) capture(
	ctx context.Context, act postgres.Act, w *ledger.Writes, d dossiers.Dossier, p *Payment, c Capture, date calendar.Date, reason string,
) error {
	now := c.RecordedAt
	paid := allocate(&c, d.Charges)
	insertCapture(&w.Batch, p.Authority, c)
	dossiers.RecordPaid(&w.Batch, d, paid, c.ID.UUID(), now)
	late := !p.Status.live()
	p.Captured += c.Amount.Minor
	if p.Status == Captured { // a further capture is no edge, but the sum changes
		updatePayment(&w.Batch, *p)
	} else if err := s.move(&w.Batch, act, p, Captured, reason); err != nil {
		return err
	}
	w.Post(captured(p.Authority, c, paid, date, now, act.Actor.ID))
	if err := s.afterCapture(ctx, act, d, *p, c); err != nil {
		return err
	}
	if late && d.Totals().Outstanding <= c.Amount.Minor-c.Excess {
		if err := s.cancelOther(ctx, act, w, d); err != nil {
			return err
		}
	}
	return audit.Queue(&w.Batch, audit.Event{
		Actor: act.Actor, At: now, Act: "capture.record", ObjectKind: "capture", ObjectID: c.ID.String(),
		After: map[string]any{
			"payment": p.ID, "amount": c.Amount.Minor, "excess": c.Excess, "evidence": c.Evidence, "transaction": c.TransactionID,
		},
	})
}

// afterCapture queues proposals of refunds: for an excess, and for money of a dossier whose service
// has ended meanwhile.
func (s *Service) afterCapture(ctx context.Context, tx pgx.Tx, d dossiers.Dossier, p Payment, c Capture) error {
	once := &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}}
	if c.Excess > 0 {
		if _, err := s.Jobs.InsertTx(ctx, tx, ProposeExcessRefund{Authority: p.Authority, Capture: c.ID}, once); err != nil {
			return err
		}
	}
	if d.Undeliverable == "" || len(c.Allocations) == 0 {
		return nil
	}
	_, err := s.Jobs.InsertTx(ctx, tx, dossiers.ProposeRefunds{Authority: p.Authority, Dossier: d.ID, Reason: d.Undeliverable}, nil)
	return err
}

// cancelOther cancels the dossier's live payment after a late capture of an earlier payment left
// nothing to pay.
func (s *Service) cancelOther(ctx context.Context, act postgres.Act, w *ledger.Writes, d dossiers.Dossier) error {
	live, err := findLive(ctx, act, d.ID)
	if ErrNotFound.Is(err) || (err == nil && live.Status != Pending) {
		return nil
	}
	if err != nil {
		return err
	}
	// Cancel and the checkout lock a payment without its dossier: the status may have changed meanwhile.
	if live, err = lock(ctx, act, live.ID); err != nil || live.Status != Pending {
		return err
	}
	return s.move(&w.Batch, act.As(auth.System(d.Authority)), &live, Cancelled, "paid_otherwise")
}

// allocate gives the capture's money to outstanding charges in order of line; the rest is excess.
func allocate(c *Capture, charges []dossiers.Charge) []dossiers.Paid {
	left := c.Amount.Minor
	var paid []dossiers.Paid
	for _, charge := range charges {
		part := min(left, charge.Outstanding())
		if part <= 0 || charge.Currency != c.Amount.Currency {
			continue
		}
		paid = append(paid, dossiers.Paid{Charge: charge, Amount: part})
		c.Allocations = append(c.Allocations, Allocation{Charge: charge.ID, Amount: part})
		left -= part
	}
	c.Excess = left
	return paid
}

// Identified is a suspended credit of a bank account that two persons assigned to a dossier.
type Identified struct {
	Line          string // id of the statement line: it pays once
	BankReference string
	Amount        money.Amount
	OccurredAt    time.Time
	HeldSince     calendar.Date // business date on which the book put it on suspense
}

// RecordIdentified records the credit as a capture of a locked dossier. It makes a payment of its
// own, also when the dossier has a live payment. The capture pays outstanding charges in order, and
// the excess is owed back and proposed for refund, as with any capture. Its entry takes the money
// out of suspense. A second capture of the same line violates a unique constraint. The caller makes
// sure that two persons agreed.
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
	c.BusinessDate = in.HeldSince // not an earlier date: the balance of suspense would be below zero until HeldSince
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

type captureRow struct {
	ID                CaptureID      `db:"id"`
	PaymentID         ID             `db:"payment_id"`
	DossierID         dossiers.ID    `db:"dossier_id"`
	MerchantAccountID merchants.ID   `db:"merchant_account_id"`
	Provider          string         `db:"provider"`
	TransactionID     string         `db:"transaction_id"`
	BankReference     string         `db:"bank_reference"`
	Amount            int64          `db:"amount"`
	Currency          money.Currency `db:"currency"`
	Excess            int64          `db:"excess"`
	RefundReserved    int64          `db:"refund_reserved"`
	ExcessReserved    int64          `db:"excess_reserved"`
	OccurredAt        time.Time      `db:"occurred_at"`
	BusinessDate      calendar.Date  `db:"business_date"`
	Evidence          Evidence       `db:"evidence"`
	RecordedAt        time.Time      `db:"recorded_at"`
	SettledAt         *time.Time     `db:"settled_at"`
	Allocations       []byte         `db:"allocations"`
}

const selectCapture = `
	select c.id, c.payment_id, c.dossier_id, c.merchant_account_id, c.provider, c.transaction_id, c.bank_reference, c.amount,
		c.currency, c.excess, c.refund_reserved, c.excess_reserved, c.occurred_at, c.business_date, c.evidence, c.recorded_at,
		c.settled_at, (
			select coalesce(jsonb_agg(jsonb_build_object('id', a.charge_id, 'amount', a.amount, 'reserved', a.refund_reserved)
				order by ch.line), '[]')
			from payments.allocation a join dossiers.charge ch on ch.id = a.charge_id
			where a.capture_id = c.id) as allocations
	from payments.capture c`

func (r captureRow) capture() (Capture, error) {
	c := Capture{
		ID: r.ID, PaymentID: r.PaymentID, DossierID: r.DossierID, MerchantID: r.MerchantAccountID, Provider: r.Provider,
		TransactionID: r.TransactionID, BankReference: r.BankReference, Amount: money.Amount{Currency: r.Currency, Minor: r.Amount},
		Excess: r.Excess, Reserved: r.RefundReserved, ExcessReserved: r.ExcessReserved, OccurredAt: r.OccurredAt,
		BusinessDate: r.BusinessDate, Evidence: r.Evidence, RecordedAt: r.RecordedAt, SettledAt: r.SettledAt,
	}
	var list []struct {
		ID       uuidText `json:"id"`
		Amount   int64    `json:"amount"`
		Reserved int64    `json:"reserved"`
	}
	if err := json.Unmarshal(r.Allocations, &list); err != nil {
		return Capture{}, err
	}
	for _, a := range list {
		c.Allocations = append(c.Allocations, Allocation{dossiers.ChargeID(a.ID), a.Amount, a.Reserved})
	}
	return c, nil
}

func selectCaptures(ctx context.Context, tx pgx.Tx, where string, args ...any) ([]Capture, error) {
	rows, err := tx.Query(ctx, selectCapture+where, args...)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[captureRow])
	if err != nil {
		return nil, err
	}
	found := make([]Capture, len(list))
	for i, r := range list {
		if found[i], err = r.capture(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func insertCapture(b *pgx.Batch, authority string, c Capture) {
	b.Queue(`
		insert into payments.capture (id, authority, payment_id, dossier_id, merchant_account_id, provider, transaction_id,
			bank_reference, bank_number, amount, currency, excess, occurred_at, business_date, evidence, recorded_at)
		values (@id, @authority, @payment, @dossier, @merchant, @provider, @transaction,
			@bank_reference, @bank_number, @amount, @currency, @excess, @occurred_at, @business_date, @evidence, @recorded_at)`,
		pgx.StrictNamedArgs{
			"id": c.ID, "authority": authority, "payment": c.PaymentID, "dossier": c.DossierID, "merchant": c.MerchantID,
			"provider": c.Provider, "transaction": c.TransactionID, "bank_reference": c.BankReference,
			"bank_number": transfers.BankReference(c.BankReference), "amount": c.Amount.Minor,
			"currency": c.Amount.Currency, "excess": c.Excess, "occurred_at": c.OccurredAt, "business_date": c.BusinessDate,
			"evidence": c.Evidence, "recorded_at": c.RecordedAt,
		})
	if len(c.Allocations) == 0 {
		return
	}
	var (
		charges []dossiers.ChargeID
		amounts []int64
	)
	for _, a := range c.Allocations {
		charges, amounts = append(charges, a.Charge), append(amounts, a.Amount)
	}
	b.Queue(`
		insert into payments.allocation (capture_id, charge_id, authority, amount)
		select $1, n.id, $2, n.amount from unnest($3::uuid[], $4::bigint[]) as n (id, amount)`,
		c.ID, authority, charges, amounts)
}

// sameCreditDays bounds the days between two messages about one bank credit: a notice comes at
// once, and the statement may book the credit after a weekend and a holiday.
const sameCreditDays = 5

// captureExists looks for a capture by the provider's transaction, and by the bank's number of it
// with the same amount: a provider may repeat a notice under another id. A bank credit (an event
// that names the bank account) is one thing, whether a notice, a statement line or two persons
// recorded it first, and for whichever payment: it is not recorded again in another spelling.
func captureExists(b *pgx.Batch, p Payment, e providers.Event, day calendar.Date, found *bool) {
	b.Queue(`
		select exists (select from payments.capture where merchant_account_id = @merchant and transaction_id = @transaction)
			or (@number <> '' and exists (
				select from payments.capture
				where authority = @authority and bank_number = @number and amount = @amount and (payment_id = @payment
					or @credit and (merchant_account_id = @merchant or merchant_account_id is null)
						and business_date between @day::date - @days::integer and @day::date + @days::integer)))`,
		pgx.StrictNamedArgs{
			"merchant": p.MerchantID, "transaction": e.TransactionID, "number": transfers.BankReference(e.BankReference),
			"authority": p.Authority, "amount": e.Amount.Minor, "payment": p.ID, "credit": e.Account != "", "day": day, "days": sameCreditDays,
		}).
		QueryRow(func(row pgx.Row) error { return row.Scan(found) })
}
