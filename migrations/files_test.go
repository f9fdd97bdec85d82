package migrations_test

import (
	"strings"
	"testing"

	"github.com/doisoat/doisoat/internal/postgres/pgtest"
	"github.com/doisoat/doisoat/migrations"
)

// A database that other bytes have made is refused by Apply and by Pending, in
// one line that names the database and the way out, and stays as it is.
func TestOtherFilesAreRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"another hash":     `update public.schema_file set sha256 = sha256('other'::bytea) where name like '01%'`,
		"another name":     `update public.schema_file set name = '01_other.sql' where name like '01%'`,
		"no rows":          `delete from public.schema_file`,
		"no table, as old": `drop table public.schema_file`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			if _, err := db.Owner.Exec(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			_, pending := migrations.Pending(t.Context(), db.App)
			for step, err := range map[string]error{"Apply": migrations.Apply(t.Context(), db.DSN), "Pending": pending} {
				if !migrations.ErrOther.Is(err) {
					t.Errorf("%s: got %v, want ErrOther", step, err)
					continue
				}
				for _, want := range []string{db.Owner.Config().ConnConfig.Database, "doisoat dev --reset", "new database"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s: got %q, want it to name %q", step, err, want)
					}
				}
				if strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: got %q, want one line", step, err)
				}
			}
		})
	}
}

// A second Apply changes nothing, and the files of a later program are no reason to refuse.
func TestSameFilesAreAccepted(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if _, err := db.Owner.Exec(t.Context(), `insert into public.schema_file values ('99_later.sql', '')`); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Apply(t.Context(), db.DSN); err != nil {
		t.Errorf("Apply: %v", err)
	}
	if got, err := migrations.Pending(t.Context(), db.App); got != 0 || err != nil {
		t.Errorf("Pending: got %d and %v, want 0", got, err)
	}
}
