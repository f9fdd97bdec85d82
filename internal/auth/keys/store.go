package keys

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/postgres"
)

// maxKeys bounds ListKeys; an authority has a handful.
const maxKeys = 1000

// lockName makes two keys of one name wait for each other: there may be no row to lock yet.
func lockName(ctx context.Context, tx pgx.Tx, k Key) error {
	_, err := tx.Exec(
		ctx,
		`select pg_advisory_xact_lock(hashtextextended(jsonb_build_array('auth.api_key', @authority::text, @role::text, @name::text)::text, 0))`,
		pgx.StrictNamedArgs{"authority": k.Authority, "role": k.Role, "name": k.Name},
	)
	return err
}

func countLive(ctx context.Context, act postgres.Act, k Key) (int, error) {
	rows, err := act.Query(ctx, `
		select count(*)
		from auth.api_key k
		where k.authority = @authority and k.role = @role and k.name = @name
			and k.revoked_at is null and (k.expires_at is null or k.expires_at > @now)`,
		pgx.StrictNamedArgs{"authority": k.Authority, "role": k.Role, "name": k.Name, "now": act.Now})
	if err != nil {
		return 0, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
}

func insert(ctx context.Context, tx pgx.Tx, k Key, secretHash []byte) (Key, error) {
	rows, err := tx.Query(ctx, `
		insert into auth.api_key (id, authority, role, name, secret_hash, created_at, created_by, expires_at)
		values (@id, @authority, @role, @name, @secret_hash, @created_at, @created_by, @expires_at)
		returning id, authority, role, name, created_at, created_by, expires_at, revoked_at`,
		pgx.StrictNamedArgs{
			"id": k.ID, "authority": k.Authority, "role": k.Role, "name": k.Name, "secret_hash": secretHash,
			"created_at": k.CreatedAt, "created_by": k.CreatedBy, "expires_at": k.ExpiresAt,
		})
	if err != nil {
		return Key{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Key])
}

func lock(ctx context.Context, tx pgx.Tx, id string) (Key, error) {
	rows, err := tx.Query(ctx, `
		select k.id, k.authority, k.role, k.name, k.created_at, k.created_by, k.expires_at, k.revoked_at
		from auth.api_key k
		where k.id = @id
		for update`,
		pgx.StrictNamedArgs{"id": id})
	if err != nil {
		return Key{}, fmt.Errorf("find key: %w", err)
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Key])
	if errors.Is(err, pgx.ErrNoRows) {
		return Key{}, ErrKeyNotFound
	}
	if err != nil {
		return Key{}, fmt.Errorf("find key: %w", err)
	}
	return found, nil
}

func revoke(ctx context.Context, act postgres.Act, id string) (Key, error) {
	rows, err := act.Query(ctx, `
		update auth.api_key
		set revoked_at = @now
		where id = @id
		returning id, authority, role, name, created_at, created_by, expires_at, revoked_at`,
		pgx.StrictNamedArgs{"id": id, "now": act.Now})
	if err != nil {
		return Key{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Key])
}

func list(ctx context.Context, tx pgx.Tx) ([]Key, error) {
	rows, err := tx.Query(ctx, `
		select k.id, k.authority, k.role, k.name, k.created_at, k.created_by, k.expires_at, k.revoked_at
		from auth.api_key k
		where k.authority = app.authority()
		order by k.created_at, k.id
		limit @limit`,
		pgx.StrictNamedArgs{"limit": maxKeys})
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[Key])
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return all, nil
}
