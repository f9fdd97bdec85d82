package statements

import (
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/secret"
	"github.com/doisoat/doisoat/providers/statements/settlement"
	"github.com/doisoat/doisoat/reconcile/matching"
)

// Service holds the use cases of statements.
type Service struct {
	DB     postgres.DB
	Secret *secret.Keyring
}

// Faults of statements.
var (
	ErrSourceNotFound = fault.New(fault.NotFound, "statements.source_not_found", "no such source")
	ErrNotFound       = fault.New(fault.NotFound, "statements.not_found", "no such statement")
	ErrInvalid        = fault.New(fault.Invalid, "statements.invalid", "the request is not valid")
	ErrSourceExists   = fault.New(fault.Conflict, "statements.source_exists", "a source with this code exists with other content")
	ErrSourceOverlaps = fault.New(fault.Conflict, "statements.source_overlaps", "another source shows the same account")
	ErrKeyReused      = fault.New(fault.Conflict, "statements.idempotency_key", "the idempotency key was used for another request")
	ErrTooLarge       = fault.New(fault.Invalid, "statements.too_large", "the file is larger than 64 MiB")
)

type sourceKind struct{}

// Prefix implements ident.Kind.
func (sourceKind) Prefix() string { return "src" }

// SourceID names a source inside the program; callers use its code.
type SourceID = ident.ID[sourceKind]

// Kinds of sources.
const (
	SettlementSource = "settlement" // a provider's file of its collected money
	BankSource       = "bank"       // statements of one bank account
)

// Source is a provider or a bank account that issues statements.
type Source struct {
	ID        SourceID       `db:"id"`
	Authority string         `db:"authority"`
	Code      string         `db:"code"`
	Kind      string         `db:"kind"`
	Provider  string         `db:"provider"`
	Account   string         `db:"account"`
	Profile   string         `db:"profile"`
	Currency  money.Currency `db:"currency"`
	CreatedAt time.Time      `db:"created_at"`
}

// SourceRequest asks for a source. A bank source has an account. A settlement source has a
// provider, and may be narrowed to one terminal (Account) and one mapping Profile.
type SourceRequest struct {
	Code     string
	Kind     string
	Provider string
	Account  string
	Profile  string
}

var (
	sourceCode   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`)
	providerName = regexp.MustCompile(`^[a-z0-9]{2,20}$`)
)

func (r SourceRequest) validate() error {
	e := ErrInvalid
	if !sourceCode.MatchString(r.Code) {
		e = e.At("/code", "must be 1 to 40 letters, digits, dots, dashes or underscores")
	}
	switch r.Kind {
	case SettlementSource:
		if !providerName.MatchString(r.Provider) {
			e = e.At("/provider", "must be the provider of the settlement files")
		}
		if r.Profile != "" && !slices.Contains(settlement.Profiles(), r.Profile) {
			e = e.At("/profile", "is not a known mapping profile")
		}
	case BankSource:
		if r.Account == "" {
			e = e.At("/account", "must be the bank account that the statements show")
		}
		if r.Provider != "" && !providerName.MatchString(r.Provider) {
			e = e.At("/provider", "is not a provider's name")
		}
	default:
		e = e.At("/kind", "must be settlement or bank")
	}
	if len(r.Account) > 64 {
		e = e.At("/account", "is longer than 64 characters")
	}
	if len(e.Fields) > 0 {
		return e
	}
	return nil
}

// RegisterSource keeps a source. A second request with the same code and content answers the first
// source, and created is false. The same code with other content is ErrSourceExists, and a second
// source of the same account ErrSourceOverlaps.
func (s *Service) RegisterSource(ctx context.Context, actor auth.Actor, r SourceRequest) (src Source, created bool, err error) {
	if err := auth.Require(actor, auth.PermSourceWrite); err != nil {
		return Source{}, false, err
	}
	if err := r.validate(); err != nil {
		return Source{}, false, err
	}
	src = Source{
		ID: ident.New[sourceKind](), Authority: actor.Authority, Code: r.Code, Kind: r.Kind, Provider: r.Provider,
		Account: r.Account, Profile: r.Profile, Currency: money.VND,
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		// Sources are registered one after another, and not during a run.
		if err := TakeTurn(ctx, act, actor.Authority); err != nil {
			return err
		}
		all, err := selectSources(ctx, act, ` order by code`)
		if err != nil {
			return err
		}
		for _, first := range all {
			switch known := (SourceRequest{first.Code, first.Kind, first.Provider, first.Account, first.Profile}); {
			case known == r:
				src = first
				return nil
			case first.Code == r.Code:
				return ErrSourceExists
			case known.overlaps(r):
				return ErrSourceOverlaps.With("source %q shows the same account", first.Code)
			}
		}
		created, src.CreatedAt = true, act.Now
		_, err = act.Exec(ctx, `
			insert into reconcile.source (id, authority, code, kind, provider, account, profile, currency, created_at, created_by)
			values (@id, @authority, @code, @kind, @provider, @account, @profile, @currency, @at, @by)`,
			pgx.StrictNamedArgs{
				"id": src.ID, "authority": src.Authority, "code": src.Code, "kind": src.Kind, "provider": src.Provider,
				"account": src.Account, "profile": src.Profile, "currency": src.Currency, "at": src.CreatedAt, "by": actor.ID,
			})
		if err != nil {
			return err
		}
		return audit.Record(ctx, act, audit.Event{
			Actor: actor, At: src.CreatedAt, Act: "source.register", ObjectKind: "source", ObjectID: src.ID.String(),
			After: map[string]any{"code": src.Code, "kind": src.Kind, "provider": src.Provider},
		})
	})
	return src, created, err
}

// overlaps reports whether two sources would show the same money, so that it would count twice. Two
// bank sources overlap when they have the same account. Two settlement sources of a provider
// overlap when they have the same terminal, or when one of them has none and so takes all
// terminals.
func (r SourceRequest) overlaps(other SourceRequest) bool {
	if r.Kind != other.Kind {
		return false
	}
	same := matching.Squeeze(r.Account) == matching.Squeeze(other.Account)
	if r.Kind == BankSource {
		return same
	}
	return r.Provider == other.Provider && (same || r.Account == "" || other.Account == "")
}

// ListSources returns sources of the actor's authority in order of code, after a code; next is
// empty at the end.
func (s *Service) ListSources(ctx context.Context, actor auth.Actor, after string, limit int) (list []Source, next string, err error) {
	if err := auth.Require(actor, auth.PermSourceRead); err != nil {
		return nil, "", err
	}
	limit = page.Limit(limit)
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		list, err = selectSources(ctx, tx, ` and code > $1 order by code limit $2`, after, limit+1)
		return err
	})
	list, next = page.Cut(list, limit, func(x Source) string { return x.Code })
	return list, next, err
}

const selectSource = `
	select id, authority, code, kind, provider, account, profile, currency, created_at
	from reconcile.source where authority = (select app.authority())`

func selectSources(ctx context.Context, tx pgx.Tx, and string, args ...any) ([]Source, error) {
	rows, err := tx.Query(ctx, selectSource+and, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Source])
}

// SourceIDByCode is a sub-query for the id of the source with code @source in
// the transaction's authority. Lists filter by this id, because their indexes begin with it.
const SourceIDByCode = `select n.id from reconcile.source n where n.authority = (select app.authority()) and n.code = @source`

// FindSource returns the source with this code, in the transaction's authority; ErrSourceNotFound when there is none.
func FindSource(ctx context.Context, tx pgx.Tx, code string) (Source, error) {
	list, err := selectSources(ctx, tx, ` and code = $1`, code)
	if err != nil {
		return Source{}, err
	}
	if len(list) != 1 {
		return Source{}, ErrSourceNotFound.With("no source %q", code)
	}
	return list[0], nil
}

// TakeTurn makes the work on sources of an authority serial until tx ends: runs, identifications
// and new sources wait for each other.
func TakeTurn(ctx context.Context, tx pgx.Tx, authority string) error {
	_, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1, 20231122))`, authority)
	return err
}
