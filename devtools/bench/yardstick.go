package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/postgres/pglocal"
)

// accounts is the number of accounts in the book, about ten times the accounts of a province. The hot account has the
// next id.
const accounts = 1_000

// hotCode is the one account of hot loads.
const hotCode = "A-CLR-hot"

// seeded is the number of entries in the book before the first measurement, so that the planner chooses plans for a
// growing book and not for an empty one.
const seeded = 10_000

// prepare makes accounts, the bare copies of the book's tables and a first
// part of the book.
func (s *stage) prepare(ctx context.Context) error {
	if err := s.makeTables(ctx); err != nil {
		return err
	}
	if err := s.fill(ctx, seeded); err != nil {
		return err
	}
	_, err := s.owner.Exec(ctx, `
		insert into bare.entry select * from ledger.entry;
		insert into bare.posting select * from ledger.posting`)
	if err != nil {
		return err
	}
	_, err = s.owner.Exec(ctx, `vacuum analyze`)
	return err
}

func (s *stage) makeTables(ctx context.Context) error {
	_, err := s.owner.Exec(ctx, `
		insert into ledger.account (authority, code, currency, class, normal)
		select '`+authority+`', 'A-BANK-' || lpad(n::text, 5, '0'), 'VND', 'asset', 'D'
			from generate_series(1, `+strconv.Itoa(accounts)+`) n order by n;
		insert into ledger.account (authority, code, currency, class, normal) values ('`+authority+`', '`+hotCode+`', 'VND', 'asset', 'D');
		create schema bare;
		create table bare.entry (like ledger.entry including defaults including indexes including storage);
		create table bare.posting (like ledger.posting including defaults including indexes including storage);
		grant usage on schema bare to doisoat_app;
		grant select, insert on all tables in schema bare to doisoat_app;
		-- ids in order of time, as the program makes them
		create function bare.id() returns uuid language sql volatile as $$
			select encode(overlay(uuid_send(gen_random_uuid()) placing
				substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6), 'hex')::uuid
		$$`)
	return err
}

// The statement writes every row that ledger.Post writes for an entry with two postings, in one round trip and one
// commit. It knows the ids of its accounts and does not look for a repeated cause, so it does less work than Post.
const scriptBody = `
\set other 1 + (:account - 1 + random(1, ACCOUNTS - 1)) %% ACCOUNTS
\set amount random(1000, 1000000)
with e as (
	insert into %[1]s.entry (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event, description, actor, reason,
		postings,
		content, marks%[2]s)
	select v.id, 'AUTHORITY', date '2026-11-20', clock_timestamp(), 'capture', 'cap_' || v.id, 'captured', 'capture by bench', 'system', '', 2,
		v.hash, substr(v.hash, 1, 8)%[3]s
	from (select i.id, sha256(uuid_send(i.id)) as hash from (select bare.id() as id offset 0) i offset 0) v
	returning id, authority, business_date)
insert into %[1]s.posting (entry_id, line, postings, authority, business_date, account_id, side, amount, currency, memo,
	dossier_id, payment_id)
select e.id, p.line, 2, e.authority, e.business_date, p.account_id, p.side, :amount, 'VND', false, d.dossier_id, d.payment_id
from e, (select gen_random_uuid() as dossier_id, gen_random_uuid() as payment_id offset 0) d,
	(values (1::smallint, :account::bigint, 'D'), (2::smallint, :other::bigint, 'C')) p (line, account_id, side);
`

// script writes a pgbench script and returns its path. Bare tables have the
// same columns and indexes but no trigger, foreign key, check or row-level security.
func (s *stage) script(name string, hot, bare bool) (string, error) {
	account := "\\set account random(1, ACCOUNTS)"
	if hot {
		account = "\\set account ACCOUNTS + 1"
	}
	schema, column, value := "ledger", "", ""
	if bare {
		schema, column, value = "bare", ", tx", ", pg_current_xact_id()"
	}
	text := account + fmt.Sprintf(scriptBody, schema, column, value)
	text = strings.NewReplacer("ACCOUNTS", strconv.Itoa(accounts), "AUTHORITY", authority).Replace(text)
	path := filepath.Join(s.dir, name+".sql")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

var (
	tpsLine    = regexp.MustCompile(`tps = ([0-9.]+) \(without`)
	failedLine = regexp.MustCompile(`failed transactions: (\d+)`)
)

// pgbench runs a script as the application's role and returns commits per second.
func (s *stage) pgbench(ctx context.Context, script string, clients int, d time.Duration) (float64, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "pgbench"), "-n", "-M", "prepared", "-f", script,
		"-c", strconv.Itoa(clients), "-j", strconv.Itoa(min(2, clients)), "-T", strconv.Itoa(int(d.Seconds())),
		s.server.DSN(postgres.AppRole, pglocal.Database))
	cmd.Env = append(os.Environ(), "PGOPTIONS=-c app.authority="+authority)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("pgbench: %w: %s", err, output)
	}
	if m := failedLine.FindSubmatch(output); m == nil || string(m[1]) != "0" {
		return 0, fmt.Errorf("pgbench: transactions failed: %s", output)
	}
	m := tpsLine.FindSubmatch(output)
	if m == nil {
		return 0, errors.New("pgbench printed no rate")
	}
	return strconv.ParseFloat(string(m[1]), 64)
}
