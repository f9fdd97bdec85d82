package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/seal"
	"github.com/doisoat/doisoat/payments/callbacks"
)

// batchSize is how many entries a batch commits at once.
const batchSize = 1_000

var day = calendar.MustParse("2026-11-20")

// load is one way of writing entries; run returns entries per second.
type load struct {
	name string
	run  func(ctx context.Context, d time.Duration) (float64, error)
}

// newEntry is an entry with two postings, as the script writes it.
func newEntry(hot bool) ledger.Entry {
	from := rand.IntN(accounts)
	debit := bank(from)
	if hot {
		debit = hotCode
	}
	amount := money.Dong(int64(1_000 + rand.IntN(999_000)))
	about := ledger.Dimensions{Dossier: uuid.New(), Payment: uuid.New()}
	return ledger.Entry{
		Authority: authority, BusinessDate: day, RecordedAt: time.Now(), Actor: "system", Description: "capture by bench",
		Cause: ledger.Cause{Kind: "capture", ID: "cap_" + uuid.NewString(), Event: "captured"},
		Postings: []ledger.Posting{
			ledger.Dr(debit, amount, about),
			ledger.Cr(bank((from+1+rand.IntN(accounts-1))%accounts), amount, about),
		},
	}
}

func bank(n int) string { return ledger.Bank(fmt.Sprintf("%05d", n+1)) }

// posting posts one entry per commit from each client.
func posting(pool *pgxpool.Pool, clients int, hot bool) func(context.Context, time.Duration) (float64, error) {
	return func(ctx context.Context, d time.Duration) (float64, error) {
		return repeat(ctx, clients, d, func(ctx context.Context) (int, error) {
			e := newEntry(hot)
			return 1, postgres.WriteTx(ctx, pool, authority, func(tx pgx.Tx) error {
				_, err := ledger.Post(ctx, tx, e)
				return err
			})
		})
	}
}

// sealing runs a load and calls seals at its beginning and at half time. It first seals the entries of other loads,
// also for a load without seals, because sealing makes disk work that lasts into the load. Half of the new entries wait
// for their seal when the load begins and ends.
func sealing(pool *pgxpool.Pool, seals seals, run func(context.Context, time.Duration) (float64, error)) func(context.Context,
	time.Duration) (float64, error) {
	return func(ctx context.Context, d time.Duration) (float64, error) {
		if err := sealAll(ctx, pool, d); err != nil {
			return 0, err
		}
		if _, err := run(ctx, d/2); err != nil {
			return 0, err
		}
		failed := make(chan error, 1)
		go func() {
			err := seals(ctx, pool, d/2)
			time.Sleep(d / 2)
			failed <- errors.Join(err, seals(ctx, pool, d/2))
		}()
		rate, err := run(ctx, d)
		return rate, errors.Join(err, <-failed)
	}
}

// seals makes the seals that are due in a stretch of time.
type seals func(ctx context.Context, pool *pgxpool.Pool, d time.Duration) error

// sealAll seals all finished entries, so the sealer keeps up with the writers.
func sealAll(ctx context.Context, pool *pgxpool.Pool, _ time.Duration) error {
	_, err := (&seal.Service{DB: pool, Now: time.Now}).Seal(ctx, authority, 0)
	return err
}

// The work of the job for one authority: so many full blocks, every five minutes (seal.Service.SealDue).
const (
	jobBlocks = 16
	jobEach   = 5 * time.Minute
)

// sealAsTheJob seals as many entries as the job does in the same time.
func sealAsTheJob(ctx context.Context, pool *pgxpool.Pool, d time.Duration) error {
	share := int(int64(jobBlocks*seal.BlockSize) * d.Milliseconds() / jobEach.Milliseconds())
	_, err := (&seal.Service{DB: pool, Now: time.Now, BlockSize: share}).Seal(ctx, authority, 1)
	return err
}

func sealNothing(context.Context, *pgxpool.Pool, time.Duration) error { return nil }

// grouped posts one entry per call; one commit serves all callers that wait.
func grouped(group *callbacks.Group, callers int, hot bool) func(context.Context, time.Duration) (float64, error) {
	return func(ctx context.Context, d time.Duration) (float64, error) {
		return repeat(ctx, callers, d, func(ctx context.Context) (int, error) {
			e := newEntry(hot)
			return 1, group.Do(ctx, authority, "", callbacks.Body{Write: func(_ context.Context, _ postgres.Act, w *ledger.Writes) error {
				w.Post(e)
				return nil
			}})
		})
	}
}

// batches posts many entries per commit from one client.
func batches(pool *pgxpool.Pool) func(context.Context, time.Duration) (float64, error) {
	return func(ctx context.Context, d time.Duration) (float64, error) {
		return repeat(ctx, 1, d, func(ctx context.Context) (int, error) {
			list := make([]ledger.Entry, batchSize)
			for i := range list {
				list[i] = newEntry(false)
			}
			return len(list), postgres.WriteTx(ctx, pool, authority, func(tx pgx.Tx) error {
				_, err := ledger.Post(ctx, tx, list...)
				return err
			})
		})
	}
}

// copies writes the rows of a batch with COPY. The owner of the tables runs it, because COPY does not work under
// row-level security. Triggers and keys stay on.
func copies(owner *pgxpool.Pool) func(context.Context, time.Duration) (float64, error) {
	return func(ctx context.Context, d time.Duration) (float64, error) {
		return repeat(ctx, 1, d, func(ctx context.Context) (int, error) {
			entries, postings := copyRows(batchSize)
			return batchSize, pgx.BeginFunc(ctx, owner, func(tx pgx.Tx) error { return copyInto(ctx, tx, entries, postings) })
		})
	}
}

// copyRows makes the rows of n entries, two postings each.
func copyRows(n int) (entries, postings [][]any) {
	content, marks := make([]byte, 32), make([]byte, 8)
	for range n {
		id, now := [16]byte(uuid.Must(uuid.NewV7())), time.Now() // as bytes, which pgx sends as they are
		from := int64(rand.IntN(accounts))
		to := (from + 1 + rand.Int64N(accounts-1)) % accounts
		amount := int64(1_000 + rand.IntN(999_000))
		dossier, payment := [16]byte(uuid.New()), [16]byte(uuid.New())
		entries = append(entries, []any{
			id, authority, day, now, "bench", "cap_" + uuid.NewString(), "captured", "capture by bench", "system", "",
			int16(2), content, marks,
		})
		postings = append(postings,
			[]any{id, int16(1), int16(2), authority, day, from + 1, "D", amount, "VND", false, dossier, payment},
			[]any{id, int16(2), int16(2), authority, day, to + 1, "C", amount, "VND", false, dossier, payment})
	}
	return entries, postings
}

func copyInto(ctx context.Context, tx pgx.Tx, entries, postings [][]any) error {
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"ledger", "entry"}, []string{
		"id", "authority", "business_date", "recorded_at", "cause_kind", "cause_id", "cause_event", "description", "actor", "reason",
		"postings", "content", "marks",
	}, pgx.CopyFromRows(entries))
	if err != nil {
		return err
	}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"ledger", "posting"}, []string{
		"entry_id",
		"line",
		"postings",
		"authority",
		"business_date",
		"account_id",
		"side",
		"amount",
		"currency",
		"memo",
		"dossier_id",
		"payment_id",
	}, pgx.CopyFromRows(postings))
	return err
}

// repeat calls work from each client until the time is over and returns the
// entries per second. The first error ends the load.
func repeat(ctx context.Context, clients int, d time.Duration, work func(ctx context.Context) (int, error)) (float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wrote   atomic.Int64
		running sync.WaitGroup
		begin   = time.Now()
	)
	for range clients {
		running.Go(func() {
			for time.Since(begin) < d && ctx.Err() == nil {
				n, err := work(ctx)
				if err != nil {
					cancel(err)
					return
				}
				wrote.Add(int64(n))
			}
		})
	}
	running.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return 0, err
	}
	return float64(wrote.Load()) / time.Since(begin).Seconds(), ctx.Err()
}
