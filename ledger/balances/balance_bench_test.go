package balances_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/balances"
)

// benchPostings is the size of the book: DOISOAT_BENCH_POSTINGS, 100,000 when it is not set.
func benchPostings(bench *testing.B) int {
	bench.Helper()
	text := os.Getenv("DOISOAT_BENCH_POSTINGS")
	if text == "" {
		return 100_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 4 {
		bench.Fatalf("DOISOAT_BENCH_POSTINGS=%q, want a number", text)
	}
	return n
}

// fill writes a book of four postings per entry over a year. It writes as the owner, in SQL, because the benchmark
// measures only reading.
func (b book) fill(postings int) {
	b.T.Helper()
	b.MustPost(mixed(1)) // makes the accounts
	const chunk = 10_000 // entries of one statement: well below its time-out
	for from := 0; from < postings/4; from += chunk {
		most := min(chunk, postings/4-from)
		_, err := b.Owner.Exec(b.T.Context(), `
			with n as materialized (
				select overlay(gen_random_uuid()::text placing left(app.first_id(clock_timestamp())::text, 13) from 1 for 13)::uuid as id,
					n, date '2026-11-20' - n % 365 as business_date
				from generate_series($1::integer + 1, $1::integer + $2::integer) n
			), e as (
				insert into ledger.entry (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event, description,
				actor, postings, content, marks)
				select n.id, 'H41', n.business_date, now(), 'bench', n.n::text, 'filled', 'bench', 'system', 4, sha256(n.n::text::bytea),
					decode(repeat('00', 16), 'hex') from n
			)
			insert into ledger.posting (entry_id, line, postings, authority, business_date, account_id, side, amount, currency, memo,
				dossier_id, fee_type, policy)
			select n.id, l.line, 4, 'H41', n.business_date, a.id, l.side, 1000 + n.n % 997, 'VND', a.memo,
				md5((n.n / 2)::text)::uuid, 'fee-' || n.n % 40, 'policy-' || n.n % 7
			from n
			cross join (values (1, 'D', 'A-CLR-vnpay'), (2, 'C', 'L-TAMTHU-LEPHI'), (3, 'D', 'M-COLLECTED'), (4, 'C', 'M-RECEIVABLE'))
				l (line, side, code)
			join ledger.account a on a.authority = 'H41' and a.code = l.code and a.currency = 'VND'`, from, most)
		if err != nil {
			b.T.Fatal(err)
		}
	}
	if _, err := b.Owner.Exec(b.T.Context(), `vacuum analyze ledger.entry, ledger.posting`); err != nil {
		b.T.Fatal(err)
	}
	b.rollUpAll()
	if _, err := b.Owner.Exec(b.T.Context(), `vacuum analyze ledger.account_day, ledger.dimension_day`); err != nil {
		b.T.Fatal(err)
	}
}

// BenchmarkBalances reads balances of a book of DOISOAT_BENCH_POSTINGS postings
// with a tail of a thousand entries that are not rolled up, and reports p99 in ms.
func BenchmarkBalances(bench *testing.B) {
	b := newBook(bench)
	postings := benchPostings(bench)
	started := time.Now()
	b.fill(postings)
	bench.Logf("%d postings filled and rolled up in %s", postings, time.Since(started).Round(time.Millisecond))
	for from := 0; from < 1000; from += 250 {
		var list []ledger.Entry
		for n := range 250 {
			list = append(list, mixed(100+from+n))
		}
		b.MustPost(list...)
	}
	s := &balances.Service{DB: b.App}
	past := day.AddDays(-180)
	look := func(q balances.Query) func() error {
		return func() error {
			_, err := s.ListBalances(bench.Context(), reader, q)
			return err
		}
	}
	for _, one := range []struct {
		name string
		read func() error
	}{
		{"balance=now", look(balances.Query{Account: ledger.ProvisionalLePhi})},
		{"balance=asof", look(balances.Query{Account: ledger.ProvisionalLePhi, AsOf: past})},
		{"balance=feetype", look(balances.Query{FeeType: "fee-7", AsOf: past})},
		{"balance=policy", look(balances.Query{Policy: "policy-3"})},
		{"trialbalance=now", look(balances.Query{AsOf: day})},
		{"trialbalance=asof", look(balances.Query{AsOf: past})},
		{"postings=page", func() error {
			_, _, err := s.ListPostings(bench.Context(), reader, balances.PostingQuery{Account: ledger.ProvisionalLePhi, From: past, Limit: 50})
			return err
		}},
	} {
		bench.Run(fmt.Sprintf("%s/postings=%d", one.name, postings), func(bench *testing.B) {
			var took []time.Duration
			for bench.Loop() {
				from := time.Now()
				if err := one.read(); err != nil {
					bench.Fatal(err)
				}
				took = append(took, time.Since(from))
			}
			slices.Sort(took)
			bench.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
