package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/cmd/doisoat/demo"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/config"
	"github.com/doisoat/doisoat/internal/postgres/pgtest"
	"github.com/doisoat/doisoat/internal/secret"
	"github.com/doisoat/doisoat/internal/world"
	"github.com/doisoat/doisoat/merchants"
)

// realSettings are settings as a province has them with VNPAY itself.
var realSettings = map[string]string{
	"tmn_code": "REALH09A", "pay_url": "https://pay.vnpay.vn/vpcpay.html",
	"api_url": "https://merchant.vnpay.vn/merchant_webapi/api/transaction",
}

const realSecret = "a secret that VNPAY and the province know"

// contents hashes every row of every table, by the name of the table.
func contents(t *testing.T, db *pgx.Conn) map[string]string {
	t.Helper()
	hashes := map[string]string{}
	for _, name := range everyTable(t, db) {
		var hash string
		err := db.QueryRow(t.Context(), `select count(*) || ' ' || coalesce(md5(string_agg(md5(x::text), ' ' order by x::text)), '')
			from `+pgx.Identifier(strings.SplitN(name, ".", 2)).Sanitize()+` x`).Scan(&hash)
		if err != nil {
			t.Fatal(err)
		}
		hashes[name] = hash
	}
	return hashes
}

// roomsOn wires the rooms on a database, as the command line of the server does.
func roomsOn(t *testing.T, pool *pgxpool.Pool, ring *secret.Keyring) world.World {
	t.Helper()
	all, err := newWorld(
		&program{now: time.Now, random: rand.Reader},
		config.Config{PublicURL: "https://thanhtoan.example.gov.vn"},
		pool,
		ring,
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(all.Close)
	return all
}

func registerReal(t *testing.T, all world.World, authority string) merchants.Account {
	t.Helper()
	m, err := all.Merchants.Register(t.Context(), auth.Operator(authority), "vnpay", realSettings,
		map[string]string{"hash_secret": realSecret})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// runDev runs the command in this process, at most for a minute.
func runDev(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyWithin)
	defer cancel()
	var out, errs bytes.Buffer
	args = append([]string{"dev", "--listen", "127.0.0.1:0", "--simulator-listen", "127.0.0.1:0"}, args...)
	code = run(ctx, args, func(name string) string { return env[name] }, &out, &errs)
	return code, out.String(), errs.String()
}

// TestDevRefusesForeignDatabase: a database with a real province's account and
// keys is the same to the byte after dev was started on it by mistake.
func TestDevRefusesForeignDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	list, err := registry.KnownAuthorities()
	if err != nil {
		t.Fatal(err)
	}
	if err := registry.EnsureAuthorities(t.Context(), db.Owner, list); err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), demo.KeysFile)
	ring, err := secret.Create(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	all := roomsOn(t, db.App, ring)
	registerReal(t, all, "H09")
	for _, name := range []string{"API of the province", demo.KeyName} {
		if _, _, err := all.Keys.CreateKey(t.Context(), auth.Operator("H09"), auth.RolePortal, name, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := pgx.Connect(t.Context(), db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the test has its result
	before := contents(t, conn)
	if strings.HasPrefix(before["merchants.account"], "0 ") || strings.HasPrefix(before["auth.api_key"], "0 ") {
		t.Fatalf("nothing is there to be protected: %v", before)
	}
	empty := db.Empty(t)

	tests := map[string]struct {
		env  map[string]string
		args []string
	}{
		"named":                     {env: map[string]string{config.DatabaseURL: db.DSN}},
		"named for migration":       {env: map[string]string{config.DatabaseURL: empty, config.MigrateURL: db.DSN}},
		"named beside an empty one": {env: map[string]string{config.DatabaseURL: db.DSN, config.MigrateURL: empty}},
		"named with reset":          {env: map[string]string{config.DatabaseURL: db.DSN}, args: []string{"--reset"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.env[config.SecretKeys] = keyFile
			dir := filepath.Join(t.TempDir(), "data")
			code, stdout, stderr := runDev(t, tt.env, append(tt.args, "--data-dir", dir)...)
			if code != exitFailed || stdout != "" {
				t.Errorf("got exit code %d and %q, want %d and nothing", code, stdout, exitFailed)
			}
			if strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, config.DatabaseURL) {
				t.Errorf("got %q, want one line that names %s", stderr, config.DatabaseURL)
			}
			if diff := cmp.Diff(contents(t, conn), before); diff != "" {
				t.Errorf("the foreign database differs (-got +want):\n%s", diff)
			}
			if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("data folder: got %v, want none", err)
			}
		})
	}
	if found, err := demo.Inspect(t.Context(), config.Address(empty)); err != nil || !found.Empty {
		t.Errorf("the empty database: got %v, %v, want it still empty", found, err)
	}
}

// liveKeys lists the keys that sign in, and fails the test for a revoked one.
func liveKeys(t *testing.T, db *pgx.Conn) []string {
	t.Helper()
	rows, err := db.Query(t.Context(), `select id from auth.api_key where revoked_at is null order by id`)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, db, `select count(*) from auth.api_key where revoked_at is not null`); n > 0 {
		t.Errorf("got %d revoked keys, want none", n)
	}
	return ids
}

// TestDevSecondStart: planted accounts follow the simulator to its new address,
// an account that dev did not register stays, and no key is revoked.
func TestDevSecondStart(t *testing.T) {
	t.Parallel()
	d := startDev(t)
	first := d.place()
	db := d.database()
	if _, err := db.Exec(
		t.Context(),
		`update merchants.account set disabled_at = now() where authority = 'H09' and provider = 'vnpay'`,
	); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), first.DatabaseURL+"&role=doisoat_app")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secret.Open(filepath.Join(d.dir, demo.KeysFile))
	if err != nil {
		t.Fatal(err)
	}
	all := roomsOn(t, pool, ring)
	foreign := registerReal(t, all, "H09")
	pool.Close()
	keysBefore := liveKeys(t, db)
	_ = db.Close(t.Context())
	d.stop()
	d.start()
	second := d.place()
	if second.Simulator == first.Simulator {
		t.Fatalf("the simulator is at %s again: nothing was tested", first.Simulator)
	}
	if diff := cmp.Diff(second.Keys, first.Keys); diff != "" {
		t.Errorf("keys differ after a second start (-got +want):\n%s", diff)
	}
	d.pay("H41.12-240502-0001", "vnpay") // reaches the simulator of this start only
	db = d.database()
	var settings map[string]string
	if err := db.QueryRow(t.Context(), `select settings from merchants.account where id = $1`,
		foreign.ID).Scan(&settings); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(settings, realSettings); diff != "" {
		t.Errorf("the foreign account differs (-got +want):\n%s", diff)
	}
	out, err := os.ReadFile(filepath.Join(filepath.Dir(d.dir), "dev.out.2"))
	if err != nil || !bytes.Contains(out, []byte(`note: the vnpay account "REALH09A" of H09 stays as it is`)) {
		t.Errorf("got %q, %v, want a note on H09", out, err)
	}
	if got := liveKeys(t, db); !slices.Equal(got, keysBefore) {
		t.Errorf("got %d keys after a second start, want the same %d", len(got), len(keysBefore))
	}

	// The texts of the keys are lost: further keys come, and none goes.
	_ = db.Close(t.Context())
	d.stop()
	if err := os.Remove(filepath.Join(d.dir, demo.ManifestFile)); err != nil {
		t.Fatal(err)
	}
	d.start()
	after := liveKeys(t, d.database())
	if len(after) != 2*len(keysBefore) {
		t.Errorf("got %d keys after dev.json was lost, want %d", len(after), 2*len(keysBefore))
	}
	d.must(http.StatusOK, first.Keys[auth.RoleAuditor], http.MethodGet, "/v1/payments", "")
}

// TestDevReset: --reset moves the data folder aside with all its files, and
// refuses while another dev runs on it.
func TestDevReset(t *testing.T) {
	t.Parallel()
	d := startDev(t)
	first := d.place()
	code, _, stderr := runDev(t, nil, "--reset", "--data-dir", d.dir)
	if code != exitFailed || !strings.Contains(stderr, "another doisoat dev runs on "+d.dir) {
		t.Errorf("got exit code %d and %q, want a refusal", code, stderr)
	}
	d.register("H41.12-240502-0001")
	d.stop()
	d.more = []string{"--reset"}
	d.start()
	aside, err := filepath.Glob(d.dir + ".*")
	if err != nil || len(aside) != 1 {
		t.Fatalf("got %v, %v, want one folder beside the new one", aside, err)
	}
	out, err := os.ReadFile(filepath.Join(filepath.Dir(d.dir), "dev.out.2"))
	if want := "the data folder is now " + aside[0] + "\n"; err != nil || !strings.HasPrefix(string(out), want) {
		t.Errorf("got %q, %v, want %q at its beginning", out, err, want)
	}
	old, err := demo.ReadManifest(filepath.Join(aside[0], demo.ManifestFile))
	if err != nil || !maps.Equal(old.Keys, first.Keys) {
		t.Errorf("the folder aside: got keys %v, %v, want those of the first start", len(old.Keys), err)
	}
	if n := count(t, d.database(), `select count(*) from dossiers.dossier`); n != 0 {
		t.Errorf("got %d dossiers after --reset, want none", n)
	}
	d.stop()
	// The folder that was moved aside still starts.
	d.more, d.dir = nil, aside[0]
	d.start()
	if n := count(t, d.database(), `select count(*) from dossiers.dossier`); n != 1 {
		t.Errorf("got %d dossiers in the folder aside, want 1", n)
	}
}
