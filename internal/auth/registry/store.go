package registry

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
)

// ensureAuthorities takes the list as JSON; empty texts become NULL. An authority may name a successor that comes later
// in the list, because PostgreSQL checks the foreign key at the end of the statement.
func ensureAuthorities(ctx context.Context, tx pgx.Tx, list []byte) error {
	_, err := tx.Exec(ctx, `
		insert into auth.authority as a (code, name, level, successor, valid_from, valid_to, days_back, minutes_ahead)
		select r.code, r.name, r.level, nullif(r.successor, ''), nullif(r.valid_from, '')::date, nullif(r.valid_to, '')::date,
			coalesce(nullif(r.days_back, 0), s.days_back, 400), coalesce(nullif(r.minutes_ahead, 0), s.minutes_ahead, 5)
		from jsonb_to_recordset(@list::jsonb)
			as r (code text, name text, level text, successor text, valid_from text, valid_to text, days_back integer, minutes_ahead integer)
		left join auth.authority s on s.code = r.code
		on conflict (code) do update set
			name = excluded.name, level = excluded.level, successor = excluded.successor,
			valid_from = excluded.valid_from, valid_to = excluded.valid_to,
			days_back = excluded.days_back, minutes_ahead = excluded.minutes_ahead
		where (a.name, a.level, a.successor, a.valid_from, a.valid_to, a.days_back, a.minutes_ahead)
			is distinct from (excluded.name, excluded.level, excluded.successor, excluded.valid_from, excluded.valid_to,
				excluded.days_back, excluded.minutes_ahead)`,
		pgx.StrictNamedArgs{"list": list})
	return err
}

func listAuthorities(ctx context.Context, tx pgx.Tx) ([]Authority, error) {
	rows, err := tx.Query(ctx, `
		select a.code, a.name, a.level, coalesce(a.successor, '') as successor, a.valid_from, a.valid_to, a.days_back, a.minutes_ahead
		from auth.authority a
		order by a.code`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Authority])
}

func findAuthority(ctx context.Context, tx pgx.Tx, code string) (Authority, error) {
	rows, err := tx.Query(ctx, `
		select a.code, a.name, a.level, coalesce(a.successor, '') as successor, a.valid_from, a.valid_to, a.days_back, a.minutes_ahead
		from auth.authority a
		where a.code = @code`,
		pgx.StrictNamedArgs{"code": code})
	if err != nil {
		return Authority{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Authority])
}

func lockAuthority(ctx context.Context, tx pgx.Tx, code string) (Authority, error) {
	rows, err := tx.Query(ctx, `
		select a.code, a.name, a.level, coalesce(a.successor, '') as successor, a.valid_from, a.valid_to, a.days_back, a.minutes_ahead
		from auth.authority a
		where a.code = @code
		for no key update`,
		pgx.StrictNamedArgs{"code": code})
	if err != nil {
		return Authority{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Authority])
}

func updateBounds(ctx context.Context, tx pgx.Tx, a Authority) error {
	_, err := tx.Exec(ctx, `
		update auth.authority set days_back = @days_back, minutes_ahead = @minutes_ahead where code = @code`,
		pgx.StrictNamedArgs{"code": a.Code, "days_back": a.DaysBack, "minutes_ahead": a.MinutesAhead})
	return err
}

// storedKey holds the columns that signing in needs.
type storedKey struct {
	ID         string
	Authority  string
	Role       auth.Role
	SecretHash []byte
	ExpiresAt  *time.Time
	RevokedAt  *time.Time
}

// findKey looks across authorities, through the definer function made for it.
func findKey(ctx context.Context, tx pgx.Tx, id string) (storedKey, error) {
	rows, err := tx.Query(ctx, `
		select k.id, k.authority, k.role, k.secret_hash, k.expires_at, k.revoked_at
		from auth.find_api_key(@id) k`,
		pgx.StrictNamedArgs{"id": id})
	if err != nil {
		return storedKey{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[storedKey])
}
