package demo

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/config"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
)

// ErrForeign protects a database that may hold the bank accounts of real provinces.
var ErrForeign = fault.New(fault.Precondition, "dev.foreign_database", "the database was not made by doisoat dev")

// Mark stands in a database that dev found empty. The mark allows
// planting there, and lists the merchant accounts that dev registered.
type Mark struct {
	owner   *pgxpool.Pool
	planted []string
}

// Look is the result of an inspection. A database that is neither empty nor marked is foreign.
type Look struct {
	Empty bool
	id    string // of the mark; empty: no mark
}

// Inspect looks at the database behind an address and writes nothing.
func Inspect(ctx context.Context, address config.Address) (Look, error) {
	pool, err := openAsOwner(ctx, address)
	if err != nil {
		return Look{}, err
	}
	defer pool.Close()
	var found Look
	err = postgres.ReadTx(ctx, pool, "", func(tx pgx.Tx) (err error) {
		found, err = inspectIn(ctx, tx)
		return err
	})
	return found, err
}

func inspectIn(ctx context.Context, tx pgx.Tx) (found Look, err error) {
	var marked bool
	err = tx.QueryRow(ctx, `
		select to_regclass('public.doisoat_dev') is not null, not exists (
			select from pg_namespace n where n.nspname not like 'pg\_%' and n.nspname not in ('information_schema', 'public')
		) and not exists (
			select from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public'
		) and not exists (
			select from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'public'
		)`).Scan(&marked, &found.Empty)
	if err == nil && marked {
		err = tx.QueryRow(ctx, `select id::text from public.doisoat_dev`).Scan(&found.id)
	}
	if err != nil {
		return Look{}, fmt.Errorf("look for the mark of doisoat dev: %w", err)
	}
	return found, nil
}

// MayUse refuses every database that is neither empty nor marked by dev, with
// remedy as the advice. It writes nothing. Both addresses must name one database.
func MayUse(ctx context.Context, c config.Config, remedy string) error {
	owner, err := Inspect(ctx, c.MigrateURL)
	if err != nil {
		return err
	}
	application := owner
	if c.DatabaseURL != c.MigrateURL {
		if application, err = Inspect(ctx, c.DatabaseURL); err != nil {
			return err
		}
	}
	if application != owner || !owner.Empty && owner.id == "" {
		return ErrForeign.With("the database was not made by doisoat dev, which therefore wrote nothing: %s", remedy)
	}
	return nil
}

// Claim marks an empty database, or reads the mark of an earlier start. Call
// it before the migrations, and close the mark.
func Claim(ctx context.Context, c config.Config, remedy string) (*Mark, error) {
	if err := MayUse(ctx, c, remedy); err != nil {
		return nil, err
	}
	owner, err := openAsOwner(ctx, c.MigrateURL)
	if err != nil {
		return nil, err
	}
	m := &Mark{owner: owner}
	err = postgres.WriteTx(ctx, owner, "", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtext('doisoat dev mark'))`); err != nil {
			return fmt.Errorf("lock the mark: %w", err)
		}
		found, err := inspectIn(ctx, tx)
		if err != nil {
			return err
		}
		if found.Empty {
			_, err := tx.Exec(ctx, `
				create table public.doisoat_dev (
					id      uuid primary key default gen_random_uuid(),
					planted text[] not null default '{}'
				);
				create unique index doisoat_dev_one_row on public.doisoat_dev ((true));
				comment on table public.doisoat_dev is 'doisoat dev made this database and plants demo data in it';
				grant select on public.doisoat_dev to public;
				insert into public.doisoat_dev default values`)
			if err != nil {
				return fmt.Errorf("write the mark: %w", err)
			}
		}
		if err := tx.QueryRow(ctx, `select planted from public.doisoat_dev`).Scan(&m.planted); err != nil {
			return fmt.Errorf("read the mark: %w", err)
		}
		return nil
	})
	// Two empty databases look alike until one of them bears the mark.
	if err == nil {
		err = MayUse(ctx, c, "DOISOAT_MIGRATE_URL and DOISOAT_DATABASE_URL must name one database")
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func openAsOwner(ctx context.Context, address config.Address) (*pgxpool.Pool, error) {
	return postgres.Open(ctx, postgres.Config{URL: string(address), MaxConns: 2, ApplicationName: "doisoat dev"})
}

// has reports whether dev registered the account.
func (m *Mark) has(account string) bool { return slices.Contains(m.planted, account) }

// record notes that dev is about to register the account. The note comes
// first: a kill between both leaves an account that a later start may follow.
func (m *Mark) record(ctx context.Context, account string) error {
	if m.has(account) {
		return nil
	}
	if _, err := m.owner.Exec(ctx, `update public.doisoat_dev set planted = planted || $1::text`, account); err != nil {
		return fmt.Errorf("write the mark: %w", err)
	}
	m.planted = append(m.planted, account)
	return nil
}

// Close lets go of the owner's connections.
func (m *Mark) Close() { m.owner.Close() }
