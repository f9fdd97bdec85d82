package pgtest

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Empty makes a database without any table on the same server, for the length
// of the test, and returns its address.
func (db *DB) Empty(t *testing.T) string {
	t.Helper()
	name := "empty_" + strings.ToLower(rand.Text())
	if _, err := db.Owner.Exec(t.Context(), `create database `+name+` template template0`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.Owner.Exec(context.Background(), `drop database `+name+` with (force)`); err != nil {
			t.Error(err)
		}
	})
	c, err := pgx.ParseConfig(db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(db.DSN, "/"+c.Database+"?", "/"+name+"?", 1)
}
