package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments/callbacks"
)

// longest is the time after which no further round begins: a run takes six minutes at most.
const longest = 5 * time.Minute

// claim compares two loads of the same round.
type claim struct {
	load, yardstick string
	atLeast         float64 // 0: shown, not judged
}

var claims = []claim{
	{"post 16", "script 16", 0.60},
	{"post 64", "script 64", 0.60},
	{"post hot 16", "script hot 16", 0.60},
	{"post hot 64", "script hot 64", 0.60},
	{"post hot 16", "post 16", 0.90},
	{"post hot 64", "post 64", 0.90},
	{"group 64", "script 64", 1.00},
	{"group hot 64", "script hot 64", 1.00},
	{"callbacks 64", "callbacks alone 64", 1.00},
	{"batch 1000", "copy 1000", 0.35},
	{"post 16 sealed by the job", "post 16 unsealed", 0.97},
	{"post 16 all sealed", "post 16 unsealed", 0.97},
	{"post 16", "bare script 16", 0},
	{"script 16", "bare script 16", 0},
}

// loads opens the connections and accounts of each load, which stay open over all rounds.
func (s *stage) loads(ctx context.Context) ([]load, error) {
	few, err := s.pool(ctx, postgres.AppRole, 16)
	if err != nil {
		return nil, err
	}
	many, err := s.pool(ctx, postgres.AppRole, 64)
	if err != nil {
		return nil, err
	}
	sealer, err := s.pool(ctx, postgres.AppRole, 1) // of its own: the clients keep their 16 connections
	if err != nil {
		return nil, err
	}
	s.pools = append(s.pools, few, many, sealer)
	s.group = callbacks.NewGroup(postgres.DB{Pool: few, Now: time.Now}, 2)
	counter, err := s.newCounter(ctx, few)
	if err != nil {
		return nil, err
	}
	list := []load{
		{"post 16", posting(few, 16, false)},
		{"post 64", posting(many, 64, false)},
		{"post 16 sealed by the job", sealing(sealer, sealAsTheJob, posting(few, 16, false))},
		{"post 16 all sealed", sealing(sealer, sealAll, posting(few, 16, false))},
		{"post 16 unsealed", sealing(sealer, sealNothing, posting(few, 16, false))},
		{"post hot 16", posting(few, 16, true)},
		{"post hot 64", posting(many, 64, true)},
		{"group 64", grouped(s.group, 64, false)},
		{"group hot 64", grouped(s.group, 64, true)},
		{"callbacks 64", counter.callbacks(s.group, 64)},
		{
			"callbacks alone 64",
			counter.callbacks(callbacks.NewGroup(postgres.DB{Pool: few, Now: time.Now}, 64), 64),
		}, // a leader for each: no caller waits for company
		{"batch 1000", batches(few)},
		{"copy 1000", copies(s.owner)},
	}
	for _, y := range []struct {
		name      string
		clients   int
		hot, bare bool
	}{
		{"script 16", 16, false, false},
		{"script 64", 64, false, false},
		{"script hot 16", 16, true, false},
		{"script hot 64", 64, true, false},
		{"bare script 16", 16, false, true},
	} {
		script, err := s.script(strings.ReplaceAll(y.name, " ", "_"), y.hot, y.bare)
		if err != nil {
			return nil, err
		}
		list = append(list, load{y.name, func(ctx context.Context, d time.Duration) (float64, error) {
			return s.pgbench(ctx, script, y.clients, d)
		}})
	}
	// Each load runs beside its yardstick, so that both meet the same state of the machine.
	slices.SortStableFunc(list, func(a, b load) int { return place(a.name) - place(b.name) })
	return list, nil
}

// place orders loads by their first claim, yardstick after load.
func place(name string) int {
	for i, c := range claims {
		if c.load == name {
			return 2 * i
		}
		if c.yardstick == name {
			return 2*i + 1
		}
	}
	return 2 * len(claims)
}

// rotate runs every load once per round and prints medians.
func (s *stage) rotate(ctx context.Context, opt options, out io.Writer) error {
	begin := time.Now()
	if err := s.prepare(ctx); err != nil {
		return err
	}
	list, err := s.loads(ctx)
	if err != nil {
		return err
	}
	wanted := func(c claim) bool { return strings.Contains(c.load, opt.only) }
	list = slices.DeleteFunc(list, func(l load) bool {
		return !slices.ContainsFunc(claims, func(c claim) bool { return wanted(c) && (c.load == l.name || c.yardstick == l.name) })
	})
	for _, l := range list { // connections, plans and statistics
		if _, err := l.run(ctx, opt.duration); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	if _, err := s.owner.Exec(ctx, `vacuum analyze`); err != nil {
		return err
	}
	rates, spent := map[string][]float64{}, map[string][]cpu{}
	for round := range opt.rounds {
		if time.Since(begin) > longest {
			_, _ = fmt.Fprintf(out, "the time is over: %d rounds are counted\n", round)
			break
		}
		if _, err := s.owner.Exec(ctx, `checkpoint`); err != nil {
			return err
		}
		// The first load after a checkpoint writes whole pages: every other round runs backwards.
		order := slices.Clone(list)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, l := range order {
			before, at := s.cpuNow(), time.Now()
			rate, err := l.run(ctx, opt.duration)
			if err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			entries := rate * time.Since(at).Seconds()
			rates[l.name] = append(rates[l.name], rate)
			spent[l.name] = append(spent[l.name], s.cpuNow().since(before, entries))
		}
		_, _ = fmt.Fprintf(out, "round %d of %d\n", round+1, opt.rounds)
	}
	printRates(out, list, rates, spent)
	printClaims(out, slices.DeleteFunc(slices.Clone(claims), func(c claim) bool { return !wanted(c) }), rates)
	return nil
}

func printRates(out io.Writer, list []load, rates map[string][]float64, spent map[string][]cpu) {
	_, _ = fmt.Fprint(
		out,
		"\n| load | a second, median | lowest | highest | CPU µs each: server | clients |\n| --- | ---: | ---: | ---: | ---: | ---: |\n",
	)
	for _, l := range list {
		r := rates[l.name]
		var server, clients []float64
		for _, c := range spent[l.name] {
			server, clients = append(server, float64(c.server.Microseconds())), append(clients, float64(c.clients.Microseconds()))
		}
		_, _ = fmt.Fprintf(out, "| %s | %.0f | %.0f | %.0f | %.0f | %.0f |\n", l.name, median(r), slices.Min(r), slices.Max(r),
			median(server), median(clients))
	}
}

func printClaims(out io.Writer, list []claim, rates map[string][]float64) {
	_, _ = fmt.Fprint(
		out,
		"\n| load | against | ratio, median | lowest | highest | wanted | |\n| --- | --- | ---: | ---: | ---: | ---: | --- |\n",
	)
	for _, c := range list {
		var ratios []float64
		for i, rate := range rates[c.load] {
			ratios = append(ratios, rate/rates[c.yardstick][i])
		}
		wanted, verdict := "", ""
		if c.atLeast > 0 {
			wanted, verdict = fmt.Sprintf("%.2f", c.atLeast), "met"
			if median(ratios) < c.atLeast {
				verdict = "missed"
			}
		}
		_, _ = fmt.Fprintf(out, "| %s | %s | %.2f | %.2f | %.2f | %s | %s |\n",
			c.load, c.yardstick, median(ratios), slices.Min(ratios), slices.Max(ratios), wanted, verdict)
	}
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
