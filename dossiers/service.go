package dossiers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/secret"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/balances"
)

// MaxCharges bounds the charges of one dossier.
const MaxCharges = 100

var codeShape = regexp.MustCompile(`^(?:\d{3}\.\d{2}\.\d{2}\.)?[HG]\d{2}(?:\.\d{1,3}){0,3}-\d{6}-\d{4,}$`)

// Service holds the use cases of dossiers. Jobs only inserts.
type Service struct {
	DB     postgres.DB
	Fees   *fees.Service
	Secret *secret.Keyring
	Jobs   *river.Client[pgx.Tx]
}

// keptPrecision is PostgreSQL's precision of a time: the first answer must equal the answer to a repeat.
const keptPrecision = time.Microsecond

// Register records a dossier, assesses its items and posts the memo entry.
// The same code with the same content gives the first dossier and created is
// false; other content is ErrOtherContent. The applicant is encrypted.
func (s *Service) Register(ctx context.Context, actor auth.Actor, r Registration) (d Dossier, created bool, err error) {
	if err := auth.Require(actor, auth.PermDossierWrite); err != nil {
		return Dossier{}, false, err
	}
	if err := r.validate(actor); err != nil {
		return Dossier{}, false, err
	}
	r.SubmittedAt = r.SubmittedAt.UTC().Truncate(keptPrecision)
	hash, err := s.hashOf(r)
	if err != nil {
		return Dossier{}, false, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		d, created, err = s.register(ctx, act, r, hash)
		return err
	})
	switch postgres.Constraint(err) {
	case "dossier_code": // another request with this code was faster: answer with its dossier
		err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
			d, err = findSame(ctx, tx, r.Code, hash)
			return err
		})
		return d, false, err
	case "dossier_idempotency_key":
		return Dossier{}, false, ErrKeyReused
	}
	return d, created, err
}

func (s *Service) register(ctx context.Context, act postgres.Act, r Registration, hash []byte) (Dossier, bool, error) {
	d, err := findSame(ctx, act, r.Code, hash)
	if err == nil || ErrOtherContent.Is(err) {
		return d, false, err
	} else if !ErrNotFound.Is(err) {
		return Dossier{}, false, err
	}
	if err := registry.CheckSubmitted(ctx, act, act.Actor.Authority, r.SubmittedAt, act.Now); err != nil {
		return Dossier{}, false, err
	}
	status := r.SubmittedAt
	if act.Now.Before(status) { // the clock of the portal runs ahead: a report as of now must still move the status
		status = act.Now
	}
	d = Dossier{
		ID: ident.New[dossierKind](), Authority: act.Actor.Authority, Code: r.Code, Agency: r.Agency, Procedure: r.Procedure,
		Channel: r.Channel, ServiceLevel: r.ServiceLevel, PaymentChannel: r.PaymentChannel, SubmittedAt: r.SubmittedAt,
		PricingDate: calendar.On(r.SubmittedAt),
		Status:      Registered, Stage: schedule.BeforeAcceptance, StatusAt: status, CreatedAt: act.Now,
	}
	priced, err := s.quote(ctx, act, d, r.Applicant, r.Items)
	if err != nil {
		return Dossier{}, false, err
	}
	d.Currency = priced.Currency
	ciphertext, key, err := s.encryptApplicant(d.ID, r.Applicant)
	if err != nil {
		return Dossier{}, false, err
	}
	if err := insertDossier(ctx, act, d, ciphertext, key, hash, r.IdempotencyKey); err != nil {
		return Dossier{}, false, err
	}
	if err := s.assess(ctx, act, &d, priced, request{}); err != nil {
		return Dossier{}, false, err
	}
	totals := d.Totals()
	err = audit.Record(ctx, act, audit.Event{
		Actor: act.Actor, At: act.Now, Act: "dossier.register", ObjectKind: "dossier", ObjectID: d.ID.String(),
		After: map[string]any{"code": d.Code, "gross": totals.Gross, "discount": totals.Discount, "due": totals.Due},
	})
	return d, true, err
}

// AddCharges assesses further items of a dossier (supplementary obligation) at the dossier's pricing date. It locks the
// dossier. The same idempotency key with the same items changes nothing. The same key with other items is ErrKeyReused.
func (s *Service) AddCharges(
	ctx context.Context, actor auth.Actor, code string, items []quote.ItemRequest, key string,
) (d Dossier, err error) {
	if err := auth.Require(actor, auth.PermDossierWrite); err != nil {
		return Dossier{}, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		var applicant Applicant
		d, applicant, err = s.lockWithApplicant(ctx, act, code)
		if err != nil {
			return err
		}
		asked, err := requestOf(key, items)
		if err != nil {
			return err
		}
		if done, err := addedBefore(ctx, act, d, asked); done || err != nil {
			return err
		}
		if d.Undeliverable != "" {
			return ErrUndeliverable
		}
		if len(items) == 0 || len(d.Charges)+len(items) > MaxCharges {
			return ErrInvalid.At("/items", "a dossier has 1 to 100 items")
		}
		priced, err := s.quote(ctx, act, d, applicant, items)
		if err != nil {
			return err
		}
		before := d.Totals()
		if err := s.assess(ctx, act, &d, priced, asked); err != nil {
			return err
		}
		return audit.Record(ctx, act, audit.Event{
			Actor: actor, At: act.Now, Act: "dossier.add_charges", ObjectKind: "dossier", ObjectID: d.ID.String(),
			Before: map[string]any{"due": before.Due}, After: map[string]any{"due": d.Totals().Due},
		})
	})
	return d, err
}

// Find returns a dossier of the actor's authority with charges and receipts, or ErrNotFound.
func (s *Service) Find(ctx context.Context, actor auth.Actor, code string) (d Dossier, err error) {
	if err := auth.Require(actor, auth.PermDossierRead); err != nil {
		return Dossier{}, err
	}
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		d, err = Find(ctx, tx, code)
		return err
	})
	return d, err
}

// Ledger returns every entry and posting that touches a dossier, oldest first, with running balances.
func (s *Service) Ledger(ctx context.Context, actor auth.Actor, code string) (list []balances.RunningEntry, err error) {
	if err := auth.Require(actor, auth.PermDossierRead); err != nil {
		return nil, err
	}
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		row, err := selectOne(ctx, tx, ` where code = $1`, code)
		if err != nil {
			return err
		}
		list, err = balances.DossierLedger(ctx, tx, row.ID.UUID())
		return err
	})
	return list, err
}

// Find returns a dossier by code with charges and receipts, without a lock.
func Find(ctx context.Context, tx pgx.Tx, code string) (Dossier, error) {
	row, err := selectOne(ctx, tx, ` where code = $1`, code)
	if err != nil {
		return Dossier{}, err
	}
	return fill(ctx, tx, row)
}

// Lock returns a dossier by code and holds its row until tx ends: first in the lock order.
func Lock(ctx context.Context, tx pgx.Tx, code string) (Dossier, error) {
	row, err := selectOne(ctx, tx, ` where code = $1 for no key update`, code)
	if err != nil {
		return Dossier{}, err
	}
	return fill(ctx, tx, row)
}

// LockByID is Lock for a caller that knows the id.
func LockByID(ctx context.Context, tx pgx.Tx, id ID) (d Dossier, err error) {
	b := &pgx.Batch{}
	QueueLock(b, id, &d)
	err = tx.SendBatch(ctx, b).Close()
	return d, err
}

// QueueLock adds the statements of LockByID to a batch; the batch sets d when the caller sends it.
func QueueLock(b *pgx.Batch, id ID, d *Dossier) {
	b.Queue(selectDossier+` where id = $1 for no key update`, id).Query(func(rows pgx.Rows) error {
		row, err := collectDossier(rows)
		*d = row.dossier()
		return err
	})
	readItems(b, id, d) // a statement after the lock: it sees every change that was committed before
}

// Codes maps dossier ids to their codes, for lists of other rooms.
func Codes(ctx context.Context, tx pgx.Tx, ids []ID) (map[ID]string, error) {
	const query = `select id, code from dossiers.dossier where id = any($1::uuid[])`
	rows, err := tx.Query(ctx, query, ids) //nolint:rowserrcheck // ForEachRow checks
	if err != nil {
		return nil, err
	}
	codes := make(map[ID]string, len(ids))
	var (
		id   ID
		code string
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &code}, func() error { codes[id] = code; return nil })
	return codes, err
}

func fill(ctx context.Context, tx pgx.Tx, row dossierRow) (Dossier, error) {
	d := row.dossier()
	b := &pgx.Batch{}
	readItems(b, d.ID, &d)
	err := tx.SendBatch(ctx, b).Close()
	return d, err
}

// assess turns a quote into charges, posts their entry and issues zero receipts.
func (s *Service) assess(ctx context.Context, act postgres.Act, d *Dossier, priced quote.Quote, by request) error {
	charges := make([]Charge, len(priced.Items))
	due := map[schedule.Kind]int64{}
	for i, q := range priced.Items {
		charges[i] = chargeOf(*d, q, int16(len(d.Charges)+i+1), act.Now) //nolint:gosec // MaxCharges bounds it
		due[charges[i].Kind] += charges[i].Due
	}
	if err := insertCharges(ctx, act, d.Authority, charges, by); err != nil {
		return err
	}
	date, err := ledger.OpenDate(ctx, act, d.Authority, calendar.On(act.Now))
	if err != nil {
		return err
	}
	if entry, ok := assessed(*d, charges, date, act.Now, act.Actor.ID); ok {
		if _, err := ledger.Post(ctx, act, entry); err != nil {
			return err
		}
	}
	d.Charges = append(d.Charges, charges...)
	for kind, amount := range due {
		if amount > 0 {
			delete(due, kind)
		}
	}
	b := &pgx.Batch{}
	insertReceipts(b, *d, due, "assessment", charges[0].ID.UUID(), act.Now)
	readReceipts(b, d.ID, d)
	return act.SendBatch(ctx, b).Close()
}

// findSame returns the dossier with this code when its content has this hash.
func findSame(ctx context.Context, tx pgx.Tx, code string, hash []byte) (Dossier, error) {
	row, err := selectOne(ctx, tx, ` where code = $1`, code)
	if err != nil {
		return Dossier{}, err
	}
	if !bytes.Equal(row.RequestHash, hash) {
		return Dossier{}, ErrOtherContent
	}
	return fill(ctx, tx, row)
}

func (s *Service) lockWithApplicant(ctx context.Context, tx pgx.Tx, code string) (Dossier, Applicant, error) {
	row, err := selectOne(ctx, tx, ` where code = $1 for no key update`, code)
	if err != nil {
		return Dossier{}, Applicant{}, err
	}
	text, err := s.Secret.Decrypt(row.Applicant, applicantContext(row.ID))
	if err != nil {
		return Dossier{}, Applicant{}, err
	}
	var a Applicant
	if err := json.Unmarshal(text, &a); err != nil {
		return Dossier{}, Applicant{}, err
	}
	d, err := fill(ctx, tx, row)
	return d, a, err
}

func (s *Service) encryptApplicant(id ID, a Applicant) (ciphertext, key []byte, err error) {
	text, err := json.Marshal(a)
	if err != nil {
		return nil, nil, err
	}
	if ciphertext, err = s.Secret.Encrypt(text, applicantContext(id)); err != nil {
		return nil, nil, err
	}
	if a.Identifier != "" {
		key, err = s.Secret.Fingerprint(a.Identifier, "dossiers.dossier/applicant_key")
	}
	return ciphertext, key, err
}

func applicantContext(id ID) string { return "dossiers.dossier/applicant/" + id.String() }

// request is an idempotency key with the hash of the items requested under it; zero when there was no key.
type request struct {
	key  string
	hash []byte
}

func requestOf(key string, items []quote.ItemRequest) (request, error) {
	if key == "" {
		return request{}, nil
	}
	text, err := json.Marshal(items)
	sum := sha256.Sum256(text)
	return request{key, sum[:]}, err
}

// hashOf returns a keyed hash of a registration. A plain hash would be unsafe: from a copy of the database an
// attacker could try all identifiers of twelve digits and find name and identifier.
func (s *Service) hashOf(r Registration) ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return s.Secret.Fingerprint(string(text), "dossiers.dossier/request_hash")
}

func (r Registration) validate(actor auth.Actor) error {
	e := ErrInvalid
	if r.Authority != actor.Authority {
		return ErrAuthority.At("/authority", "must be the authority of your key")
	}
	if !codeShape.MatchString(r.Code) {
		e = e.At("/code", "must look like H41.12-231107-0001 or 000.00.12.H41-231107-0001")
	}
	if r.Agency == "" {
		e = e.At("/agency", "must not be empty")
	}
	if r.Applicant.Name == "" {
		e = e.At("/applicant/name", "must not be empty")
	}
	if r.SubmittedAt.IsZero() {
		e = e.At("/submission/submitted_at", "must be a time")
	}
	if len(r.Items) == 0 || len(r.Items) > MaxCharges {
		e = e.At("/items", "a dossier has 1 to 100 items")
	}
	if len(e.Fields) > 0 {
		return e
	}
	return nil
}

// GroupsOf decrypts the applicant column of dossiers.dossier and returns only the codes of the groups, sorted.
func (s *Service) GroupsOf(id ID, ciphertext []byte) (string, error) {
	text, err := s.Secret.Decrypt(ciphertext, applicantContext(id))
	if err != nil {
		return "", err
	}
	var a struct {
		Groups []string `json:"groups"`
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return "", err
	}
	slices.Sort(a.Groups)
	return strings.Join(a.Groups, " "), nil
}
