package migrations

import (
	"context"
	"crypto/sha256"
	"io/fs"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// fileHash is the name and the SHA-256 of one file.
type fileHash struct {
	Name string
	Hash []byte
}

// hashes returns the hash of every embedded file, in order.
func hashes() ([]fileHash, error) {
	names, err := fs.Glob(Files, "*.sql")
	if err != nil {
		return nil, err
	}
	list := make([]fileHash, len(names))
	for i, name := range names {
		text, err := Files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		list[i] = fileHash{Name: name, Hash: sum[:]}
	}
	return list, nil
}

// recordFiles writes the hashes of the files that Apply is about to apply, and
// compares those that the database holds already. Two starters at once wait for
// each other. When the program ends between this step and the migrations, the
// next run goes on with the same files.
func recordFiles(ctx context.Context, pool *pgxpool.Pool) error {
	known, err := hashes()
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtext('doisoat migration files'))`); err != nil {
			return err
		}
		var present bool
		err := tx.QueryRow(ctx, `select to_regclass('public.`+versionTable+`') is not null`).Scan(&present)
		if err != nil {
			return err
		}
		if present {
			if err := compareFiles(ctx, tx, known); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, `create table if not exists public.`+fileTable+` (name text primary key, sha256 bytea not null)`); err != nil {
			return err
		}
		for _, f := range known {
			if _, err := tx.Exec(ctx, `insert into public.`+fileTable+` values ($1, $2) on conflict do nothing`, f.Name, f.Hash); err != nil {
				return err
			}
		}
		return nil
	})
}

// compareFiles fails with ErrOther unless the database was made by a beginning
// of the known files. Files with higher numbers are of a later program, which
// keeps this one working.
func compareFiles(ctx context.Context, db interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}, known []fileHash,
) error {
	var name string
	var recorded bool
	err := db.QueryRow(ctx, `select current_database(), to_regclass('public.`+fileTable+`') is not null`).Scan(&name, &recorded)
	if err != nil {
		return err
	}
	var found []fileHash
	if recorded {
		rows, err := db.Query(ctx, `select name, sha256 from public.`+fileTable+` order by name collate "C"`)
		if err != nil {
			return err
		}
		if found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[fileHash]); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		return otherSchema(name, "it names no files")
	}
	for i, f := range found[:min(len(found), len(known))] {
		if f.Name != known[i].Name || !slices.Equal(f.Hash, known[i].Hash) {
			return otherSchema(name, f.Name+" differs")
		}
	}
	return nil
}

func otherSchema(database, why string) error {
	return ErrOther.With("database %s was made by another version of the schema (%s): "+
		"run doisoat dev --reset or use a new database", database, why)
}
