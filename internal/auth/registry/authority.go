package registry

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
)

// ErrBounds refuses bounds that no authority can have.
var ErrBounds = fault.New(fault.Invalid, "auth.bounds",
	fmt.Sprintf("the bounds must be 1 to %d days back and 1 to %d minutes ahead", maxDaysBack, maxMinutesAhead))

// Authority adopts policies or collects fees. Authorities are public knowledge.
type Authority struct {
	Code      string        `json:"code"`      // H41 and the like; QH and BTC for those above the provinces
	Name      string        `json:"name"`      // as people write it
	Level     string        `json:"level"`     // province, central or law
	Successor string        `json:"successor"` // code of the one it was merged into; empty when none is known
	ValidFrom calendar.Date `json:"valid_from"`
	ValidTo   calendar.Date `json:"valid_to"` // last day; zero is open. Old codes stay on old dossiers.

	// How far the submission of a dossier may lie from now, since its day fixes
	// the price. To EnsureAuthorities, 0 keeps the setting that is stored.
	DaysBack     int `json:"days_back"`
	MinutesAhead int `json:"minutes_ahead"`
}

// ReachingBack returns a copy of list whose authorities take dossiers of so many days ago.
func ReachingBack(list []Authority, days int) []Authority {
	list = slices.Clone(list)
	for i := range list {
		list[i].DaysBack = days
	}
	return list
}

// The provinces merged on 2025-07-01 end on the day before. The file names a successor only when the successor's code
// is confirmed.
//
//go:embed authorities.json
var knownAuthorities []byte

// KnownAuthorities returns the authorities in the program's own list: the authorities of the collected policies and the
// confirmed province codes.
func KnownAuthorities() ([]Authority, error) {
	decoder := json.NewDecoder(bytes.NewReader(knownAuthorities))
	decoder.DisallowUnknownFields()
	var list []Authority
	if err := decoder.Decode(&list); err != nil {
		return nil, fmt.Errorf("read known authorities: %w", err)
	}
	return list, nil
}

// EnsureAuthorities writes list to auth.authority; other authorities stay unchanged. It needs a pool of the schema's
// owner, because the application may only read authorities. Running it again changes nothing.
func EnsureAuthorities(ctx context.Context, owner *pgxpool.Pool, list []Authority) error {
	document, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("write authorities: %w", err)
	}
	return postgres.WriteTx(ctx, owner, "", func(tx pgx.Tx) error {
		if err := ensureAuthorities(ctx, tx, document); err != nil {
			return fmt.Errorf("ensure authorities: %w", err)
		}
		return nil
	})
}

// Bounds of the settings, as the columns have them.
const (
	maxDaysBack     = 36_500
	maxMinutesAhead = 1_440
)

// Bounds tell how far the submission of a dossier may lie from now. 0 keeps the
// stored setting.
type Bounds struct {
	DaysBack     int `json:"days_back"`
	MinutesAhead int `json:"minutes_ahead"`
}

// SetBounds changes an authority's bounds and records the act in the authority's
// audit trail as the operator's. owner is a pool of the owner, because the
// application may only read authorities. Bounds that are set already change and
// record nothing. Fails with auth.ErrAuthorityNotFound and ErrBounds. Locks the
// authority.
func SetBounds(ctx context.Context, owner postgres.DB, authority string, b Bounds, reason string) (Authority, error) {
	if b.DaysBack < 0 || b.DaysBack > maxDaysBack || b.MinutesAhead < 0 || b.MinutesAhead > maxMinutesAhead {
		return Authority{}, ErrBounds
	}
	var after Authority
	err := postgres.InTx(ctx, owner, auth.Operator(authority), func(act postgres.Act) error {
		before, err := lockAuthority(ctx, act, authority)
		if errors.Is(err, pgx.ErrNoRows) {
			return auth.ErrAuthorityNotFound
		}
		if err != nil {
			return fmt.Errorf("lock authority: %w", err)
		}
		after = before
		after.DaysBack, after.MinutesAhead = cmp.Or(b.DaysBack, before.DaysBack), cmp.Or(b.MinutesAhead, before.MinutesAhead)
		if after == before {
			return nil
		}
		if err := updateBounds(ctx, act, after); err != nil {
			return fmt.Errorf("set bounds: %w", err)
		}
		return audit.Record(ctx, act, audit.Event{
			Actor: act.Actor, At: act.Now, Act: "authority.bounds", ObjectKind: "authority", ObjectID: authority,
			Before: before.bounds(), After: after.bounds(), Reason: reason,
		})
	})
	return after, err
}

func (a Authority) bounds() Bounds { return Bounds{a.DaysBack, a.MinutesAhead} }

// ListAuthorities returns all authorities by code.
func (s Service) ListAuthorities(ctx context.Context) ([]Authority, error) {
	var list []Authority
	err := postgres.ReadTx(ctx, s.DB, "", func(tx pgx.Tx) (err error) {
		list, err = listAuthorities(ctx, tx)
		return err
	})
	return list, err
}

// FindAuthority returns the authority with code, or auth.ErrAuthorityNotFound.
func (s Service) FindAuthority(ctx context.Context, code string) (Authority, error) {
	var found Authority
	err := postgres.ReadTx(ctx, s.DB, "", func(tx pgx.Tx) (err error) {
		found, err = FindAuthority(ctx, tx, code)
		return err
	})
	return found, err
}

// FindAuthority is Service.FindAuthority inside a transaction of the caller.
func FindAuthority(ctx context.Context, tx pgx.Tx, code string) (Authority, error) {
	found, err := findAuthority(ctx, tx, code)
	if errors.Is(err, pgx.ErrNoRows) {
		return Authority{}, auth.ErrAuthorityNotFound
	}
	if err != nil {
		return Authority{}, fmt.Errorf("find authority: %w", err)
	}
	return found, nil
}

// CheckSubmitted returns auth.ErrSubmittedAt when the authority takes no dossier
// submitted at this time: too long ago, or too far ahead of the clock.
func CheckSubmitted(ctx context.Context, tx pgx.Tx, authority string, submitted, now time.Time) error {
	a, err := FindAuthority(ctx, tx, authority)
	if err != nil {
		return err
	}
	first, last := now.AddDate(0, 0, -a.DaysBack), now.Add(time.Duration(a.MinutesAhead)*time.Minute)
	if submitted.Before(first) || submitted.After(last) {
		return auth.ErrSubmittedAt.At("/submission/submitted_at",
			fmt.Sprintf("must lie between %s and %s", first.UTC().Format(time.RFC3339), last.UTC().Format(time.RFC3339)))
	}
	return nil
}
