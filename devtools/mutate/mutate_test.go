package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const rule = `package shop

import "example.org/ledger"

// sold is the entry of a sale.
func sold(price, tip int64, about ledger.Dimensions) []ledger.Posting {
	list := []ledger.Posting{ledger.Dr(ledger.Clearing("till"), price, about)}
	if tip > 0 {
		list = append(list, ledger.Cr(ledger.RefundPayable, tip, about))
	}
	return list
}

func other() {}
`

// Not parallel: it changes the folder of the process.
func TestMutantsOfARule(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("shop", 0o700); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		"shop/sale.go": rule, "shop/sale_test.go": rule,
		"shop/plain.go": "package shop\n\nfunc plain() int { return 1 - 1 }\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := build{dir: t.TempDir(), files: map[string]string{}}
	if err := b.mutate("shop"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range b.mutants {
		got = append(got, m.String())
	}
	want := []string{
		"shop/sale.go:8 sold: drop if tip > 0 { list = append(list, ledger.Cr(ledger.RefundPaya",
		`shop/sale.go:7 sold: drop 1 from ledger.Dr(ledger.Clearing("till"), price, about)`,
		"shop/sale.go:7 sold: about nothing instead of about",
		"shop/sale.go:7 sold: tip instead of price",
		"shop/sale.go:7 sold: Dr becomes Cr",
		"shop/sale.go:7 sold: Clearing becomes Bank",
		"shop/sale.go:8 sold: negate tip > 0",
		"shop/sale.go:9 sold: drop list = append(list, ledger.Cr(ledger.RefundPayable, tip, abo",
		"shop/sale.go:9 sold: drop 1 from ledger.Cr(ledger.RefundPayable, tip, about)",
		"shop/sale.go:9 sold: about nothing instead of about",
		"shop/sale.go:9 sold: price instead of tip",
		"shop/sale.go:9 sold: Cr becomes Dr",
		"shop/sale.go:9 sold: RefundPayable becomes Suspense",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("mutants (-got +want):\n%s", diff)
	}
	wantText := `package shop
import "example.org/ledger"
func sold_3(price, tip int64, about ledger.Dimensions) []ledger.Posting {
	list := []ledger.Posting{ledger.Dr(ledger.Clearing("till"), tip, about)}
	if tip > 0 {
		list = append(list, ledger.Cr(ledger.RefundPayable, tip, about))
	}
	return list
}`
	if diff := cmp.Diff(b.mutants[3].text, wantText); diff != "" {
		t.Errorf("text (-got +want):\n%s", diff)
	}
	if got, want := b.mutants[3].call, "return sold_3(price, tip, about)"; got != want {
		t.Errorf("call: got %q, want %q", got, want)
	}
}

func TestKiller(t *testing.T) {
	t.Parallel()
	for output, want := range map[string]string{
		"=== RUN\n    --- FAIL: TestA/part (0.1s)\n--- FAIL: TestB (0s)\n": "TestA/part",
		"goroutine 1\npanic: test timed out\nmore":                         "panic: test timed out",
		"exit": "the test binary failed",
	} {
		if got := killer([]byte(output)); got != want {
			t.Errorf("killer of %q: got %q, want %q", output, got, want)
		}
	}
}
