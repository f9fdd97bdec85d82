package main

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// hidden lists the values that no log and no table may hold in clear.
func (d *devProgram) hidden() map[string]string {
	list := map[string]string{
		"applicant's name":                applicantName,
		"applicant's name without accent": "DANG THI BI MAT",
		"applicant's identifier":          applicantID,
		"payer's name of a transfer":      transferName,
		"payer's name of the bank":        "NGUOI NOP",
		"hash secret":                     vnpaySecret,
		"webhook secret":                  transferSecret,
	}
	for code, account := range d.place().Authorities {
		for role, key := range account.Keys {
			_, rest, _ := strings.Cut(key, "_")
			_, secret, _ := strings.Cut(rest, "_")
			list["secret of a key of "+code+" "+string(role)] = secret
		}
	}
	return list
}

// nothingInClear searches logs and every column of every table, River's jobs
// and the audit trail among them, for personal data and secrets. Sealed and
// hashed values are bytes, which are searched too.
func (d *devProgram) nothingInClear() {
	t := d.t
	logs, err := filepath.Glob(filepath.Join(d.dir, "*.log*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(logs, d.logFile()) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) == 0 {
			t.Errorf("%s is empty: nothing was searched", filepath.Base(file))
		}
		for what, value := range d.hidden() {
			if bytes.Contains(bytes.ToLower(text), []byte(strings.ToLower(value))) {
				t.Errorf("%s holds the %s", filepath.Base(file), what)
			}
		}
	}

	var names, values []string
	for what, value := range d.hidden() {
		if len(value) < 8 {
			t.Fatalf("%s is too short to search for: %q", what, value)
		}
		value = strings.ToLower(value)
		// as text, and as PostgreSQL prints bytes
		names, values = append(names, what, what+", as bytes"), append(values, value, hex.EncodeToString([]byte(value)))
		names, values = append(names, what+", as bytes"), append(values, hex.EncodeToString([]byte(strings.ToUpper(value))))
	}
	for what, value := range d.hidden() {
		names, values = append(names, what+", as bytes"), append(values, hex.EncodeToString([]byte(value)))
	}
	db := d.database()
	for _, name := range everyTable(t, db) {
		rows, err := db.Query(t.Context(), `
			select distinct p.name from `+pgx.Identifier(strings.Split(name, ".")).Sanitize()+` x,
				unnest($1::text[], $2::text[]) p (name, value)
			where strpos(lower(x::text), p.value) > 0`, names, values)
		if err != nil {
			t.Fatal(err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range found {
			t.Errorf("%s holds the %s in clear", name, what)
		}
	}
	if n := count(t, db, `select count(*) from river.river_job where kind <> 'sweep_refunds' and kind <> 'sweep_inquiries'`); n == 0 {
		t.Error("no job was searched")
	}
}

// everyTable lists all tables but PostgreSQL's own.
func everyTable(t *testing.T, db *pgx.Conn) []string {
	t.Helper()
	rows, err := db.Query(t.Context(), `
		select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p') and n.nspname <> 'information_schema' and n.nspname not like 'pg\_%' order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return list
}
