package matching

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/providers/statements"
)

// drawInput draws a small input with few references and amounts, so that many lines and items share them.
func drawInput(t *rapid.T) Input {
	word := func(label string) string { return rapid.SampledFrom([]string{"", "A", "B", "C"}).Draw(t, label) }
	amount := func(label string) int64 { return rapid.SampledFrom([]int64{100, 200}).Draw(t, label) }
	in := Input{Payments: map[string]Payment{"A": {uid(901), 100}, "B": {uid(902), 200}}, Refused: map[Pair]bool{}}
	for i := range rapid.IntRange(0, 3).Draw(t, "batches") {
		in.Batches = append(in.Batches, Batch{
			BatchKey: BatchKey{ID: fmt.Sprint(i)}, Provider: word("provider"), Date: today, Net: amount("net"),
			Lines: []uuid.UUID{lid(600 + i)}, Nets: []int64{0},
		})
	}
	kinds := []statements.Kind{statements.Payment, statements.Refund, statements.Adjustment, ""}
	for i := range rapid.IntRange(0, 8).Draw(t, "lines") {
		l := Line{
			ID: lid(i), Row: rapid.IntRange(1, 3).Draw(t, "row"), Date: today.AddDays(-rapid.IntRange(0, 1).Draw(t, "age")),
			Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Booked: rapid.IntRange(0, 4).Draw(t, "booked") > 0, Amount: amount("amount"),
			TransactionID: word("transaction"), Reference: word("reference"), OriginalID: word("original"), BankRef: word("bank ref"),
			Asked: rapid.Bool().Draw(t, "asked"),
		}
		if l.Kind == statements.Refund || rapid.IntRange(0, 4).Draw(t, "debit") == 0 {
			l.Amount = -l.Amount
		}
		l.Net = l.Amount - rapid.SampledFrom([]int64{0, 1}).Draw(t, "off")
		for _, c := range []string{"A", "B"} {
			if rapid.Bool().Draw(t, "code "+c) {
				l.Codes = append(l.Codes, c)
			}
		}
		for _, b := range in.Batches {
			if rapid.IntRange(0, 2).Draw(t, "names batch") == 0 {
				l.Batches = append(l.Batches, b.BatchKey)
			}
		}
		if p := word("names provider"); p != "" {
			l.Providers = []string{p}
		}
		for _, name := range []string{"A", "B", "C"} {
			if rapid.IntRange(0, 2).Draw(t, "names order") == 0 {
				l.Orders = append(l.Orders, name)
			}
		}
		in.Lines = append(in.Lines, l)
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "items") {
		b := captureOf(100+i, word("transaction"), word("reference"), amount("amount"))
		if rapid.IntRange(0, 2).Draw(t, "refund") == 0 {
			b = refundOf(100+i, word("transaction"), word("original"), amount("amount"))
		}
		if rapid.IntRange(0, 2).Draw(t, "transit") == 0 {
			sign := rapid.SampledFrom([]int64{1, -1}).Draw(t, "sign")
			b = orderOf(100+i, sign*amount("amount"), word("order"), word("document"), word("earlier document"))
		}
		b.BankReference, b.Matched, b.Due = word("bank ref"), rapid.IntRange(0, 4).Draw(t, "matched") == 0, rapid.Bool().Draw(t, "due")
		in.Items = append(in.Items, b)
	}
	for _, l := range in.Lines {
		for _, i := range in.Items {
			if rapid.IntRange(0, 9).Draw(t, "refused") == 0 {
				in.Refused[Pair{l.ID, i.ID}] = true
			}
		}
	}
	return in
}

func clone(in Input) Input {
	in.Lines, in.Items, in.Batches = slices.Clone(in.Lines), slices.Clone(in.Items), slices.Clone(in.Batches)
	return in
}

// TestMatcherProperties checks three properties: the result does not depend on
// the order of the input; no line, item or batch is in two matches; every booked
// line and every due item is matched once, or held by one finding.
func TestMatcherProperties(t *testing.T) {
	t.Parallel()
	for name, match := range map[string]func(Input) Result{"settlement": Settlement, "bank": Bank} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				drawn := drawInput(t)
				if name == "bank" { // transfers only: an account shows no refunds of a provider
					drawn.Items = slices.DeleteFunc(drawn.Items, func(i Item) bool { return i.Kind == Refund })
				} else {
					drawn.Items = slices.DeleteFunc(drawn.Items, func(i Item) bool { return i.Kind == Transit })
					drawn.Batches = nil
				}
				in := clone(drawn)
				out := match(in)
				checkIdentity(t, in, out)
				shuffled := clone(drawn)
				shuffled.Lines = rapid.Permutation(drawn.Lines).Draw(t, "lines")
				shuffled.Items = rapid.Permutation(drawn.Items).Draw(t, "items")
				shuffled.Batches = rapid.Permutation(drawn.Batches).Draw(t, "batches")
				if diff := cmp.Diff(words(shuffled, match(shuffled)), words(in, out)); diff != "" {
					t.Fatalf("another order, another result (-shuffled +first):\n%s", diff)
				}
			})
		})
	}
}

func checkIdentity(t *rapid.T, in Input, out Result) {
	lines, items, batches := make([]int, len(in.Lines)), make([]int, len(in.Items)), make([]int, len(in.Batches))
	use := func(counts []int, at int) {
		if at >= 0 {
			counts[at]++
		}
	}
	for _, m := range out.Matches {
		use(lines, m.Line)
		use(items, m.Item)
		use(batches, m.Batch)
		if m.Item >= 0 {
			line, item := in.Lines[m.Line], in.Items[m.Item]
			if item.Amount != line.Amount || item.Matched || in.Refused[Pair{line.ID, item.ID}] {
				t.Fatalf("match of line %+v and item %+v", line, item)
			}
		}
		if m.Batch >= 0 && in.Batches[m.Batch].Net != in.Lines[m.Line].Amount {
			t.Fatalf("match of line %+v and batch %+v", in.Lines[m.Line], in.Batches[m.Batch])
		}
	}
	for _, f := range out.Breaks {
		if !f.Tells {
			use(lines, f.Line)
			use(items, f.Item)
			use(batches, f.Batch)
		}
	}
	for i, n := range lines {
		if l := in.Lines[i]; n > 1 || (l.Booked && n != 1) {
			t.Fatalf("line %+v is used %d times", l, n)
		}
	}
	for i, n := range items {
		if b := in.Items[i]; n > 1 || (b.Matched && n != 0) || (b.Due && !b.Matched && n != 1) {
			t.Fatalf("item %+v is used %d times", b, n)
		}
	}
	for i, n := range batches {
		if n != 1 {
			t.Fatalf("batch %+v is used %d times", in.Batches[i], n)
		}
	}
}
