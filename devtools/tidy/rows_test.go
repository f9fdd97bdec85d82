package tidy

import (
	"slices"
	"strings"
	"testing"
)

// rows is the table of docs/adr/0002: a package imports only packages of
// smaller rows, never of its own. A new package needs a line here.
// Tests may import what they like: a room's test may start a database.
var rows = map[string]int{
	"internal/calendar": 0,
	"internal/fault":    0,
	"internal/ident":    0,
	"internal/jsondoc":  0,
	"internal/money":    0,
	"internal/page":     0,
	"internal/text":     0,
	"devtools/tidy":     0,

	"internal/auth":             1,
	"internal/canonical":        1,
	"internal/config":           1,
	"internal/postgres/pglocal": 1,
	"internal/secret":           1,
	"migrations":                1,
	"providers":                 1,
	"providers/statements":      1,
	"providers/transfers":       1,

	"internal/approval":               2,
	"internal/postgres":               2,
	"ledger/proof":                    2,
	"providers/sepay":                 2,
	"providers/statements/camt":       2,
	"providers/statements/settlement": 2,
	"providers/vietqr":                2,
	"providers/vnpay":                 2,

	"internal/audit":               3,
	"internal/postgres/pgtest":     3,
	"providers/providertest":       3,
	"providers/statements/formats": 3,
	"providers/simulator":          3,
	"reconcile/matching":           3,

	"internal/auth/registry":    4,
	"providers/simulator/bank":  4,
	"providers/simulator/vnpay": 4,

	"providers/simulator/sepay":    5,
	"providers/simulator/farsides": 6,
	"providers/simulator/simtest":  7,

	"fees":               5,
	"fees/quote":         4,
	"fees/schedule":      3,
	"internal/auth/keys": 5,
	"ledger":             4,

	"dossiers":          6,
	"ledger/days":       5,
	"ledger/balances":   5,
	"ledger/ledgertest": 6,
	"merchants":         6,
	"ledger/seal":       6,

	"payments":                  7,
	"payments/callbacks":        8,
	"payments/captures":         8,
	"payments/checks":           7,
	"repricing/replay":          7,
	"remittance":                7,
	"refunds":                   9,
	"refunds/refundcheck":       10,
	"refunds/routes":            10,
	"statements":                8,
	"statements/statementstest": 1,
	"repricing":                 10,
	"reports":                   10,
	"reconcile/entries":         9,
	"reconcile/openitems":       9,
	"reconcile/report":          9,
	"reconcile":                 11,
	"cases":                     12,

	"jobs": 12,
	"web":  12,

	"internal/world":  13,
	"web/api/openapi": 13,
	"web/pay":         13,

	"payments/paytest":    14,
	"refunds/refundstest": 14,
	"web/api":             14,

	"cmd/doisoat":                         15,
	"cmd/doisoat/demo":                    14,
	"devtools/bench":                      14,
	"devtools/english":                    14,
	"devtools/mutate":                     14,
	"internal/postgres/pgtest/withserver": 14,
	"reconcile/reconciletest":             15,
}

// withinRow lists the one order inside a row: every room speaks of errors in
// fault's words, the other rooms of row 0 too.
var withinRow = map[string][]string{
	"internal/calendar": {"internal/fault"},
	"internal/ident":    {"internal/fault"},
	"internal/money":    {"internal/fault"},
}

func TestImportsGoDownwards(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue // tests only
		}
		row, ok := rows[p.room()]
		if !ok {
			t.Errorf("package %s has no row: add it to the table in devtools/tidy and docs/adr/0002", p.room())
			continue
		}
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, module+"/")
			if !ours || slices.Contains(withinRow[p.room()], to) {
				continue
			}
			below, ok := rows[to]
			if !ok {
				t.Errorf("%s imports %s, which has no row", p.room(), to)
				continue
			}
			if below >= row {
				t.Errorf("%s (row %d) imports %s (row %d): a package imports only smaller rows; queue a job or move the shared part down",
					p.room(), row, to, below)
			}
		}
	}
}

func TestOnlyCommandsNameAConcreteProvider(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		room := p.room()
		// devtools/bench is a command too: it wires payments to measure callbacks as a provider sends them.
		if strings.HasPrefix(room, "cmd/") || room == "devtools/bench" || strings.HasPrefix(room, "providers/") ||
			room == "payments/paytest" || room == "refunds/refundstest" { // only tests import it
			continue
		}
		for _, imported := range p.Imports {
			name, ok := strings.CutPrefix(imported, module+"/providers/")
			// Statement formats and transfer texts are no provider: banks share them, and reconcile reads them.
			if family, _, _ := strings.Cut(name, "/"); ok && family != "statements" && family != "transfers" {
				t.Errorf("%s imports providers/%s: only cmd names a concrete provider", room, name)
			}
		}
	}
}

// A far side that shares code with the provider would repeat the provider's mistake instead of showing it.
func TestSimulatorSharesNothingWithProviders(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if p.room() != "providers/simulator" && !strings.HasPrefix(p.room(), "providers/simulator/") {
			continue
		}
		for _, imported := range p.Imports {
			if name, ok := strings.CutPrefix(imported, module+"/providers"); ok && !strings.HasPrefix(name, "/simulator") {
				t.Errorf("%s imports %s: a far side has code of its own, written from the fact sheet", p.room(), imported)
			}
		}
	}
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if p.Name == "main" || len(p.GoFiles) == 0 {
			continue
		}
		if want := "Package " + p.Name + " "; !strings.HasPrefix(p.Doc, want) {
			t.Errorf("%s: package comment starts %.40q, want %q: what it owns, who calls it, its invariants, its states", p.room(), p.Doc, want)
		}
	}
}
