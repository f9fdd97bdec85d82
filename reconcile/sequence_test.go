package reconcile_test

import (
	"context"
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/balances"
	"github.com/doisoat/doisoat/ledger/seal"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/checks"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/refunds/refundcheck"
	"github.com/doisoat/doisoat/remittance"
)

// fewSequences is what a run without flags tries; -rapid.checks asks for more.
const fewSequences = "10"

// Any sequence of events of all rooms, at any moments: each entry and the book
// balance per currency and class, every account says what the model says, what
// is refundable is never below zero, balances at any past date are the replay of
// the postings up to it, and the checks of the rooms find nothing.
//
// Not parallel: it sets flags of rapid while no other test runs.
func TestSequences(t *testing.T) {
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]string{"rapid.checks": fewSequences, "rapid.seed": strconv.FormatUint(rand.Uint64(), 10)} {
		if given[name] {
			continue
		}
		f := flag.Lookup(name)
		before := f.Value.String()
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flag.Set(name, before) })
	}
	t.Logf("-rapid.checks=%s -rapid.seed=%s", flag.Lookup("rapid.checks").Value, flag.Lookup("rapid.seed").Value)
	c := newCountry(t)
	rapid.Check(t, func(t *rapid.T) {
		s := c.province(t)
		// First money comes in; what can become of it is the longer part.
		for range 3 {
			s.collect(t)
		}
		for range 3 {
			t.Repeat(s.actions())
		}
		s.finish(t)
	})
	c.told(t)
}

// told says which events the sequences reached, and how often.
func (c *country) told(t *testing.T) {
	t.Helper()
	rows, err := c.db.Owner.Query(t.Context(), `
		select string_agg(format('%s %s', n, what), ', ' order by what) from (
			select count(*) as n, cause_kind || ' ' || regexp_replace(cause_event, '-\d+$', '') as what from ledger.entry group by 2
			union all select count(*), 'day ' || change || case when proposed_by is null then '' else ' by two' end from ledger.day_event group by 2
			union all select count(*), 'identification ' || status from reconcile.identification group by 2
			union all select count(*), 'match in lane ' || lane from reconcile.match group by 2
			union all select count(*), 'priced again ' || outcome || ' by ' || coalesce(day, 'repricing') from repricing.item group by 2
			union all select count(*), 'refund ' || status || ' by ' || route || ' at '
				|| coalesce(stage, '-') from refunds.refund group by status, route, stage) e`)
	if err != nil {
		t.Fatal(err)
	}
	text, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	t.Log(text)
}

// posting is one row of the book, as the owner of the database reads it.
type posting struct {
	Entry    uuid.UUID
	Date     calendar.Date
	Account  string
	Class    ledger.Class
	Currency string
	Signed   int64 // debit above zero
	Dossier  uuid.UUID
	Payment  uuid.UUID
	Charge   uuid.UUID
	First    uuid.UUID // the charge that it corrects, or itself
	FeeType  string
	Policy   string
}

func (s *sequence) postings(t *rapid.T) []posting {
	rows, err := s.db.Owner.Query(t.Context(), `
		select e.id, p.business_date, a.code, a.class, p.currency, case p.side when 'D' then p.amount else -p.amount end,
			coalesce(p.dossier_id, @none), coalesce(p.payment_id, @none), coalesce(p.charge_id, @none), coalesce(c.corrects, p.charge_id, @none),
			coalesce(p.fee_type, ''), coalesce(p.policy, '')
		from ledger.entry e join ledger.posting p on p.entry_id = e.id join ledger.account a on a.id = p.account_id
		left join dossiers.charge c on c.id = p.charge_id
		where e.authority = @authority`, pgx.StrictNamedArgs{"authority": s.code, "none": uuid.Nil})
	s.ok(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[posting])
	s.ok(t, err)
	return list
}

// key is what an account is kept by.
func (p posting) key() string {
	switch {
	case strings.HasPrefix(p.Account, "M-"), p.Account == "A-SUBSIDY":
		return p.Account + " " + p.Charge.String()
	case strings.HasPrefix(p.Account, "L-TAMTHU"), p.Account == "L-RETAIN":
		return p.Account + " " + p.First.String()
	case p.Account == "L-REFUND":
		return p.Account + " " + p.Payment.String()
	case p.Account == "L-NSNN":
		return p.Account + " " + p.FeeType
	}
	return p.Account
}

func (p posting) normal() int64 {
	if strings.HasPrefix(p.Account, "L-") || p.Account == ledger.MemoObligation {
		return -p.Signed
	}
	return p.Signed
}

// compare is what must hold after each event.
func (s *sequence) compare(t *rapid.T) {
	type side struct {
		entry    uuid.UUID
		currency string
		memo     bool
	}
	entries, got, dated := map[side]int64{}, map[string]int64{}, map[string]int64{}
	for _, p := range s.postings(t) {
		entries[side{p.Entry, p.Currency, p.Class == ledger.Memo}] += p.Signed
		entries[side{uuid.Nil, p.Currency, p.Class == ledger.Memo}] += p.Signed
		got[p.key()] += p.normal()
		if strings.HasPrefix(p.Account, "L-TAMTHU") {
			dated[p.Date.String()+" "+p.First.String()] += p.normal()
		}
	}
	for k, sum := range entries {
		if sum != 0 {
			t.Fatalf("entry %s (zero is the book) is off by %d %s, memo %t", k.entry, sum, k.currency, k.memo)
		}
	}
	maps.DeleteFunc(got, func(_ string, sum int64) bool { return sum == 0 })
	want := s.balances(s.files(t))
	if diff := gocmp.Diff(got, want); diff != "" {
		t.Fatalf("balances (-book +model):\n%s", diff)
	}
	maps.DeleteFunc(dated, func(_ string, sum int64) bool { return sum == 0 })
	if diff := gocmp.Diff(dated, s.byDate()); diff != "" {
		t.Fatalf("provisional collection by date and charge (-book +model):\n%s", diff)
	}
	missing := s.takenBack()
	for k, sum := range got {
		if sum < -missing[k] && (k[0] == 'L' || strings.HasPrefix(k, ledger.MemoReceivable)) {
			t.Fatalf("%s is %d", k, sum)
		}
	}
}

func (s *sequence) files(t *rapid.T) statementSums {
	rows, err := s.db.Owner.Query(t.Context(), `
		select coalesce(sum(l.amount) filter (where bank), 0)::bigint,
			coalesce(sum(l.amount) filter (where bank and not l.matched and l.amount > 0), 0)::bigint,
			coalesce(sum(l.amount) filter (where bank and not l.matched and l.amount < 0), 0)::bigint,
			(select coalesce(sum(m.amount), 0)::bigint from reconcile.match m
				where m.authority = @authority and m.lane = 'transfer' and m.revoked_at is null),
			(select coalesce(sum(m.amount), 0)::bigint from reconcile.match m
				where m.authority = @authority and m.lane = 'transit' and m.revoked_at is null),
			coalesce(sum(l.amount) filter (where l.paid_out), 0)::bigint, coalesce(sum(l.fee + l.fee_vat) filter (where l.paid_out), 0)::bigint
		from reconcile.statement_line l join reconcile.source s on s.id = l.source_id
		cross join lateral (select s.kind = 'bank' and l.booked and l.run_id is not null as bank) b
		where l.authority = @authority`, pgx.StrictNamedArgs{"authority": s.code})
	s.ok(t, err)
	sums, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[statementSums])
	s.ok(t, err)
	return sums
}

// finish is what must hold at the end, and costs more to look at.
func (s *sequence) finish(t *rapid.T) {
	taken := map[payments.ID]int64{}
	for _, d := range s.model.dossiers {
		s.sync(t, d)
		if d.refundable() < 0 {
			t.Fatalf("dossier %s: %d are refundable", d.code, d.refundable())
		}
		for _, c := range d.captures {
			taken[c.payment] += c.amount
		}
	}
	for p, amount := range taken {
		if amount > s.handed[p] {
			t.Fatalf("payment %s took %d, its payer gave %d", p, amount, s.handed[p])
		}
	}
	s.compare(t)
	all := s.postings(t)
	for range 4 {
		s.replay(t, all)
	}
	s.read(t, func(ctx context.Context, tx pgx.Tx) error {
		for room, check := range map[string]func(context.Context, pgx.Tx) ([]string, error){
			"ledger": ledger.Check, "dossiers": dossiers.Check, "payments": checks.Check, "remittance": remittance.Check,
			"refunds": refundcheck.Check, "reconcile": reconcile.Check,
			"seal": func(ctx context.Context, tx pgx.Tx) ([]string, error) { return seal.Check(ctx, tx, nil) },
		} {
			if found, err := check(ctx, tx); err != nil || len(found) > 0 {
				t.Fatalf("the check of %s found %q, %v", room, found, err)
			}
		}
		return nil
	})
}

// replay compares a balance at a date with the postings up to it.
func (s *sequence) replay(t *rapid.T, all []posting) {
	q := balances.Query{AsOf: s.today().AddDays(-rapid.IntRange(-1, 12).Draw(t, "days ago"))}
	some := posting{Account: ledger.MemoDiscount}
	if len(all) > 0 {
		// The order of rows is the database's: drawn from a sorted list, a seed finds the same one again.
		slices.SortFunc(all, func(a, b posting) int { return strings.Compare(a.Entry.String()+a.Account, b.Entry.String()+b.Account) })
		some = rapid.SampledFrom(all).Draw(t, "about")
	}
	switch rapid.IntRange(0, 4).Draw(t, "by") {
	case 0:
		q.Account = some.Account
	case 1:
		q.FeeType = some.FeeType
	case 2:
		q.Policy = some.Policy
	case 3:
		q.Dossier = some.Dossier
	default: // the trial balance
	}
	got, want := map[string][2]int64{}, map[string][2]int64{}
	list, err := s.ledger.ListBalances(t.Context(), s.as(auth.RoleAuditor), q)
	s.ok(t, err)
	for _, a := range list {
		if a.Debits != 0 || a.Credits != 0 {
			got[a.Code+" "+a.Currency] = [2]int64{a.Debits, a.Credits}
		}
	}
	for _, p := range all {
		if p.Date.After(q.AsOf) || (q.Account != "" && p.Account != q.Account) || (q.FeeType != "" && p.FeeType != q.FeeType) ||
			(q.Policy != "" && p.Policy != q.Policy) || (q.Dossier != uuid.Nil && p.Dossier != q.Dossier) {
			continue
		}
		sums := want[p.Account+" "+p.Currency]
		sums[0] += max(p.Signed, 0)
		sums[1] += max(-p.Signed, 0)
		want[p.Account+" "+p.Currency] = sums
	}
	if diff := gocmp.Diff(got, want); diff != "" {
		t.Fatalf("%+v (-got +replay):\n%s", q, diff)
	}
}
