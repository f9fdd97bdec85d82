package seal_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/seal"
)

func TestSealIsRepeatable(t *testing.T) {
	t.Parallel()
	b := newBook(t, 4)
	if got := b.mustSeal(ngheAn); got.Blocks != 0 || got.Head != nil {
		t.Errorf("an empty book: got %+v, want no block", got)
	}
	b.postMany(ngheAn, 0, 10)
	b.postMany(other, 0, 3)
	first := b.mustSeal(ngheAn)
	if first.Blocks != 3 || first.Entries != 10 || first.Postings != 40 {
		t.Errorf("got %d blocks, %d entries, %d postings, want 3, 10, 40", first.Blocks, first.Entries, first.Postings)
	}
	again := b.mustSeal(ngheAn)
	if diff := cmp.Diff(again, seal.Sealed{Authority: ngheAn, Head: first.Head}); diff != "" {
		t.Errorf("sealing again (-got +want):\n%s", diff)
	}
	b.waitForHorizon()
	if err := b.seal.SealDue(t.Context()); err != nil {
		t.Fatalf("SealDue: %v", err)
	}
	if got := b.count(`select count(*) from ledger.sealed_entry`); got != 13 {
		t.Errorf("got %d sealed entries, want those of both authorities, 13", got)
	}
	for _, authority := range []string{ngheAn, other} {
		if got := b.check(authority); len(got) > 0 {
			t.Errorf("Check of %s: %v", authority, got)
		}
	}
}

// A book that cannot be sealed does not hold up those after it.
func TestBrokenBookHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	b := newBook(t, 4)
	b.postMany(other, 0, 1)
	b.mustSeal(other)
	b.postMany(other, 1, 1)
	b.postMany(ngheAn, 0, 1)
	// As if the chain could not grow: the next number is no block.
	b.force(`update ledger.block set number = 9223372036854775807 where authority = $1`, other)
	b.waitForHorizon()
	if err := b.seal.SealDue(t.Context()); err == nil {
		t.Error("SealDue: got nil, want an error that names the broken book")
	}
	if got := b.count(`select count(*) from ledger.sealed_entry where authority = $1`, ngheAn); got != 1 {
		t.Errorf("got %d sealed entries of the book after the broken one, want 1", got)
	}
}

// An entry whose transaction began before others and ends after them is not
// left out, and nothing younger is sealed before it.
func TestLateCommitIsNotPassedOver(t *testing.T) {
	t.Parallel()
	b := newBook(t, 4)
	b.postMany(ngheAn, 0, 1) // makes the accounts
	b.mustSeal(ngheAn)
	var lateID ledger.EntryID
	err := postgres.WriteTx(t.Context(), b.App, ngheAn, func(tx pgx.Tx) error {
		ids, err := ledger.Post(t.Context(), tx, captured(ngheAn, 1))
		if err != nil {
			return err
		}
		lateID = ids[0]
		b.postMany(ngheAn, 2, 5) // they begin later and commit first
		got, err := b.seal.Seal(t.Context(), ngheAn, 0)
		if got.Entries != 0 {
			t.Errorf("got %d entries sealed above a running transaction, want 0", got.Entries)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.mustSeal(ngheAn); got.Entries != 6 {
		t.Errorf("got %d entries sealed after it ended, want 6", got.Entries)
	}
	if got := b.count(`select count(*) from ledger.sealed_entry where entry_id = $1 and block = 2 and position = 0`, lateID); got != 1 {
		t.Error("the late entry does not stand first")
	}
	if got := b.check(ngheAn); len(got) > 0 {
		t.Errorf("Check: %v", got)
	}
}

func TestOneSealerAtATime(t *testing.T) {
	t.Parallel()
	b := newBook(t, 4)
	b.postMany(ngheAn, 0, 2)
	b.postMany(other, 0, 2)
	b.waitForHorizon()
	err := postgres.WriteTx(t.Context(), b.App, ngheAn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `select pg_advisory_xact_lock(ledger.seal_lock($1))`, ngheAn); err != nil {
			return err
		}
		if _, err := b.seal.Seal(t.Context(), ngheAn, 0); !seal.ErrSealing.Is(err) {
			t.Errorf("got %v, want ErrSealing", err)
		}
		return b.seal.SealDue(t.Context()) // leaves that book to the other
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.count(`select count(*) from ledger.block where authority = $1`, other); got != 1 {
		t.Errorf("got %d blocks of the other book, want 1", got)
	}
}

// Posters and sealers at once, sealers killed in the middle: every entry is
// sealed once and the chain holds.
func TestSealBesidePosters(t *testing.T) {
	t.Parallel()
	b := newBook(t, 16)
	const posters, each = 4, 60
	var (
		posting, sealing sync.WaitGroup
		ctx, stop        = context.WithCancel(t.Context())
	)
	for p := range posters {
		posting.Go(func() {
			for i := range each {
				err := postgres.WriteTx(t.Context(), b.App, ngheAn, func(tx pgx.Tx) error {
					if _, err := ledger.Post(t.Context(), tx, captured(ngheAn, p*each+i)); err != nil {
						return err
					}
					if i%7 == 0 { // some transactions take their time, and some give up
						time.Sleep(5 * time.Millisecond)
					}
					if i%11 == 0 {
						return errGiveUp
					}
					return nil
				})
				if err != nil && !errors.Is(err, errGiveUp) {
					t.Errorf("Post: %v", err)
				}
			}
		})
	}
	for range 2 {
		sealing.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				killed, cancel := context.WithTimeout(ctx, time.Duration(1+n%20)*time.Millisecond)
				_, err := b.seal.Seal(killed, ngheAn, 0)
				cancel()
				if err != nil && killed.Err() == nil && !seal.ErrSealing.Is(err) {
					t.Errorf("Seal: %v", err)
				}
			}
		})
	}
	posting.Wait()
	stop()
	sealing.Wait()
	b.waitForQuiet()
	b.mustSeal(ngheAn)
	entries := b.count(`select count(*) from ledger.entry`)
	if got := b.count(`select count(*) from ledger.sealed_entry s join ledger.entry e on e.id = s.entry_id`); got != entries {
		t.Errorf("%d of %d entries are sealed", got, entries)
	}
	if got := b.count(`select count(*) from (
			select e.tx, lag(e.tx) over (order by s.block, s.position) as before
			from ledger.sealed_entry s join ledger.entry e on e.id = s.entry_id) o
			where o.before > o.tx`); got != 0 {
		t.Errorf("%d entries stand behind a younger transaction", got)
	}
	if got := b.check(ngheAn); len(got) > 0 {
		t.Errorf("Check: %v", got)
	}
}

var errGiveUp = errors.New("the poster gave up")

// waitForQuiet waits until the server has noticed that killed sealers are gone.
func (b book) waitForQuiet() {
	b.t.Helper()
	b.eventually("a killed sealer still holds its lock", func() bool {
		return b.count(`select count(*) from pg_locks where locktype = 'advisory' and database =
			(select oid from pg_database where datname = current_database())`) == 0
	})
}

// A dump restored into another cluster brings transaction numbers that mean
// nothing there: nothing is left out, nothing is sealed twice.
func TestRestoredBookIsSealedOn(t *testing.T) {
	t.Parallel()
	for _, brought := range []int{0, 3, 4, 9} {
		t.Run(fmt.Sprint(brought), func(t *testing.T) {
			t.Parallel()
			b := newBook(t, 4)
			b.postMany(ngheAn, 0, 5)
			b.mustSeal(ngheAn)
			b.postMany(ngheAn, 100, brought) // not sealed when the dump was taken
			if brought > 0 {
				b.force(`
					with e as (
						update ledger.entry set tx = (tx::text::bigint + 1000000000)::text::xid8
						where id not in (select entry_id from ledger.sealed_entry)
						returning id, tx)
					update ledger.posting p set tx = e.tx from e where p.entry_id = e.id`)
			}
			if _, err := b.Owner.Exec(
				t.Context(),
				`create or replace function ledger.home() returns bigint language sql return 42`,
			); err != nil {
				t.Fatal(err)
			}
			b.postMany(ngheAn, 200, 2) // in the new cluster, with smaller numbers
			got := b.mustSeal(ngheAn)
			if got.Entries != int64(brought+2) || got.Head.Cluster != "42" {
				t.Errorf("got %d entries in cluster %s, want %d", got.Entries, got.Head.Cluster, brought+2)
			}
			b.postMany(ngheAn, 300, 6)
			if got := b.mustSeal(ngheAn); got.Entries != 6 {
				t.Errorf("got %d entries sealed afterwards, want 6", got.Entries)
			}
			if got := b.check(ngheAn); len(got) > 0 {
				t.Errorf("Check: %v", got)
			}
		})
	}
}

// A restored book without news gets one empty block, and is not looked through again.
func TestRestoredBookWithoutNews(t *testing.T) {
	t.Parallel()
	b := newBook(t, 4)
	b.postMany(ngheAn, 0, 5)
	b.mustSeal(ngheAn)
	if _, err := b.Owner.Exec(t.Context(), `create or replace function ledger.home() returns bigint language sql return 42`); err != nil {
		t.Fatal(err)
	}
	if got := b.mustSeal(ngheAn); got.Blocks != 1 || got.Entries != 0 {
		t.Errorf("got %d blocks with %d entries, want one empty block", got.Blocks, got.Entries)
	}
	if got := b.mustSeal(ngheAn); got.Blocks != 0 {
		t.Errorf("got %d blocks more, want 0", got.Blocks)
	}
	if got := b.check(ngheAn); len(got) > 0 {
		t.Errorf("Check: %v", got)
	}
}

// A first look through the book that ends with a full block has an end too:
// from then on an entry behind the sealer is found.
func TestFirstLookEndsWithAFullBlock(t *testing.T) {
	t.Parallel()
	b := newBook(t, 4)
	ids := b.postMany(ngheAn, 0, 8)
	b.mustSeal(ngheAn)
	if got := b.mustSeal(ngheAn); got.Blocks != 0 || got.Head.ResumeTx != nil {
		t.Errorf("got %d blocks more, resume at %v; want 0 and an end", got.Blocks, got.Head.ResumeTx)
	}
	b.force(`insert into ledger.entry (id, authority, business_date, recorded_at, cause_kind, cause_id, cause_event, description,
			actor, postings, content, marks, tx)
		select gen_random_uuid(), authority, business_date, recorded_at, cause_kind, 'forged', cause_event, description,
			actor, postings, content, marks, tx
		from ledger.entry where id = $1`, ids[3])
	if got := b.check(ngheAn); len(got) != 1 || !strings.Contains(got[0], "appeared after the sealer had passed its place") {
		t.Errorf("an entry behind the sealer: got %q", got)
	}
}

// The look through the whole book may seal an entry that is posted meanwhile. The sealer then meets the entry again: it
// is sealed once, and passed once.
func TestWalkPassesWhatTheLookSealed(t *testing.T) {
	t.Parallel()
	b := newBook(t, 4)
	b.postMany(ngheAn, 0, 6)
	b.waitForHorizon()
	if got, err := b.seal.Seal(t.Context(), ngheAn, 1); err != nil || got.Head.ResumeTx == nil {
		t.Fatalf("the first block of a look: got %+v, %v, want one to be resumed", got.Head, err)
	}
	b.postMany(ngheAn, 6, 5)
	if got := b.mustSeal(ngheAn); got.Entries != 7 || got.Head.ResumeTx != nil {
		t.Errorf("got %d entries, resume at %v; want 7 and the end of the look", got.Entries, got.Head.ResumeTx)
	}
	if got := b.mustSeal(ngheAn); got.Blocks != 1 || got.Entries != 0 {
		t.Errorf("got %d blocks with %d entries, want an empty one that passes what the look has sealed", got.Blocks, got.Entries)
	}
	if got := b.mustSeal(ngheAn); got.Blocks != 0 {
		t.Errorf("nothing new: got %d blocks, want 0", got.Blocks)
	}
	b.postMany(ngheAn, 11, 9)
	if got := b.mustSeal(ngheAn); got.Entries != 9 || got.Blocks != 3 {
		t.Errorf("got %d entries in %d blocks, want 9 in 3", got.Entries, got.Blocks)
	}
	if got := b.check(ngheAn); len(got) > 0 {
		t.Errorf("Check: %v", got)
	}
}

var monthKey = regexp.MustCompile(`_(\d{6}|default)_pkey$`)

// The database itself refuses rows that the sealer would never write.
func TestWallsOfTheChain(t *testing.T) {
	t.Parallel()
	b := newBook(t, 4)
	b.postMany(ngheAn, 0, 5)
	b.mustSeal(ngheAn)
	b.postMany(other, 0, b.count(`select entries from ledger.block where number = 2`))
	b.postMany(ngheAn, 5, b.count(`select entries from ledger.block where number = 2`))
	const copied = `insert into ledger.block (authority, number, version, sealed_at, previous, root, first, entries, postings, totals,
			cluster, reached_tx, reached_id, hash)
		select authority, %s, version, sealed_at, %s, root, %s, entries, postings, totals, cluster, reached_tx, reached_id, hash
		from ledger.block where number = 2`
	for name, c := range map[string]struct{ query, want string }{
		"fork":         {fmt.Sprintf(copied, "3", "previous", "5"), "block_previous"},
		"gap":          {fmt.Sprintf(copied, "4", "hash", "5"), "block_follows"},
		"overlap":      {fmt.Sprintf(copied, "3", "hash", "4"), "block_follows"},
		"second start": {fmt.Sprintf(copied, "1", `decode(repeat('00', 32), 'hex')`, "0"), "block_pkey"},
		"sealed twice": {`insert into ledger.sealed_entry
			select authority, 2, 1, entry_id, leaf, marks from ledger.sealed_entry where position = 1`, "sealed_entry_key"},
		"no header": {`insert into ledger.sealed_entry
			select authority, 9, 0, gen_random_uuid(), leaf, marks from ledger.sealed_entry limit 1`, "sealed_entry_block"},
		"one more": {`insert into ledger.sealed_entry
			select authority, 2, 1, gen_random_uuid(), leaf, marks from ledger.sealed_entry limit 1`, "sealed_entry_block"},
		"as many again": {`insert into ledger.sealed_entry
			select 'H41', 2, row_number() over () - 1, e.id, decode(repeat('ab', 32), 'hex'), '' from ledger.entry e
			where e.authority = 'H41' and e.id not in (select s.entry_id from ledger.sealed_entry s)`, "sealed_entry_block"},
		"never filled": {fmt.Sprintf(copied, "3", "hash", "first + entries"), "block_complete"},
		"unknown entry": {`with b as (` + fmt.Sprintf(copied, "3", "hash", "first + entries") + ` returning number, entries)
			insert into ledger.sealed_entry
			select 'H41', b.number, n, gen_random_uuid(), decode(repeat('ab', 32), 'hex'), ''
			from b, generate_series(0, b.entries - 1) n`, "sealed_entry_known"},
		"entry of another book": {`with b as (` + fmt.Sprintf(copied, "3", "hash", "first + entries") + ` returning number)
			insert into ledger.sealed_entry select 'H41', b.number, row_number() over () - 1, e.id, decode(repeat('ab', 32), 'hex'), ''
			from b, ledger.entry e where e.authority = 'H26'`, "sealed_entry_known"},
		"change":   {`update ledger.block set entries = 1`, "append_only"},
		"delete":   {`delete from ledger.sealed_entry`, "append_only"},
		"truncate": {`truncate ledger.sealed_entry`, "append_only"},
	} {
		_, err := b.Owner.Exec(t.Context(), c.query)
		// the key of a month has its own name
		if got := monthKey.ReplaceAllString(postgres.Constraint(err), "_key"); got != c.want {
			t.Errorf("%s: got constraint %q (%v), want %s", name, got, err, c.want)
		}
	}
}
