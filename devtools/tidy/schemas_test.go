package tidy

import (
	"fmt"
	"go/ast"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// owners says which rooms write a schema. Packages inside a room belong to it.
// Three rooms write reconcile: statements their lines, reconcile runs, matches
// and breaks, cases the end of a match or a break that a person decides.
// The schema app holds functions that every room uses.
var owners = map[string][]string{
	"audit":      {"internal/audit"},
	"auth":       {"internal/auth"},
	"dossiers":   {"dossiers"},
	"fees":       {"fees"},
	"ledger":     {"ledger"},
	"merchants":  {"merchants"},
	"payments":   {"payments"},
	"reconcile":  {"reconcile", "statements", "cases"},
	"refunds":    {"refunds"},
	"remittance": {"remittance"},
	"repricing":  {"repricing"},
}

// reads lists the rooms that read the schema of another room, with the reason.
// A room that is not here calls a use case of the owner instead.
var reads = map[string]string{
	"internal/world reads dossiers":  "doisoat check counts the things that it checked",
	"internal/world reads ledger":    "doisoat check counts the things that it checked",
	"internal/world reads payments":  "doisoat check counts the things that it checked",
	"internal/world reads reconcile": "doisoat check counts the things that it checked",
	"internal/world reads refunds":   "doisoat check counts the things that it checked",

	"dossiers reads ledger":   "the check compares charges with the book",
	"fees reads auth":         "a policy names authorities; one query reads both",
	"payments reads dossiers": "a payment locks its dossier and allocates to the charges in one round trip",
	"payments reads ledger":   "the check compares captures with the book",

	"cases reads dossiers": "a break shows the dossier; an identification names it",
	"cases reads ledger":   "a suspended line shows since when; an entry in transit names its payment",
	"cases reads payments": "a break and a revoked match show the payment",
	"cases reads refunds":  "a revoked match shows the payment of its refund",

	"reconcile reads ledger":     "open items are entries; the check compares matches with the book",
	"reconcile reads payments":   "captures are open items of the book",
	"reconcile reads refunds":    "refunds are open items of the book",
	"reconcile reads remittance": "vouchers are open items of the book",

	"refunds reads dossiers":   "reasons and portions come from charges; the check compares both",
	"refunds reads ledger":     "the check compares refunds with the book",
	"refunds reads payments":   "portions come from captures; the check compares both",
	"refunds reads remittance": "the check compares what a refund took with its division",

	"remittance reads dossiers":  "a division groups charges by agency and fee type; the check compares both",
	"remittance reads ledger":    "a division divides balances of the book",
	"remittance reads reconcile": "a voucher names a bank account, and bank accounts are sources",

	"repricing reads dossiers": "prices of many dossiers depend on facts that the database groups",
	"repricing reads fees":     "a repricing names the policy that was wrong",
	"repricing reads payments": "money reserved for refunds counts as given back",

	"reports reads dossiers": "reports read across rooms, see docs/adr/0012",
	"reports reads ledger":   "reports read across rooms, see docs/adr/0012",
	"reports reads payments": "reports read across rooms, see docs/adr/0012",
}

var (
	created = regexp.MustCompile(`(?m)^CREATE (?:UNLOGGED )?(?:TABLE|VIEW|FUNCTION|TYPE) (\w+\.\w+)`)
	dotted  = regexp.MustCompile(`\b([a-z]+)\.([a-z_]+)\b`)
	sqlVerb = regexp.MustCompile(`(?i)\b(select|insert into|update|delete from|from|join|truncate|copy)\b`)
	written = regexp.MustCompile(`(?i)\b(?:insert into|update|delete from|merge into|truncate)\s+(?:only\s+)?([a-z]+)\.([a-z_]+)\b`)
)

// sqlTexts calls visit for every text of a room that is SQL.
func sqlTexts(t *testing.T, visit func(f parsed, sql string, at ast.Node)) {
	t.Helper()
	for _, f := range trees(t) {
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				if sql, ok := text(e); ok && sqlVerb.MatchString(sql) {
					visit(f, sql, n)
				}
			}
			return true
		})
	}
}

// reader is the room that a package belongs to: its first folder, except where that folder is no room.
func reader(pkg string) string {
	top, _, _ := strings.Cut(pkg, "/")
	if top == "cmd" || top == "internal" || top == "web" {
		return pkg
	}
	return top
}

// owns reports whether a package belongs to a room that writes the schema.
func owns(room, schema string) bool {
	return slices.ContainsFunc(owners[schema], func(o string) bool { return room == o || strings.HasPrefix(room, o+"/") })
}

func TestForeignSchemasAreReadByListedRoomsOnly(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, m := range created.FindAllStringSubmatch(schema(t), -1) {
		known[m[1]] = true
	}
	unused := maps.Clone(reads)
	sqlTexts(t, func(f parsed, sql string, at ast.Node) {
		if strings.HasPrefix(f.room(), "devtools/") || strings.HasPrefix(f.room(), "internal/postgres/") || f.room() == "migrations" {
			return
		}
		for _, m := range dotted.FindAllStringSubmatch(sql, -1) {
			if !known[m[0]] || owners[m[1]] == nil || owns(f.room(), m[1]) {
				continue
			}
			pair := reader(f.room()) + " reads " + m[1]
			delete(unused, pair)
			if reads[pair] == "" {
				t.Errorf("%v: %s: call a use case of the room, or list the pair with a reason", set.Position(at.Pos()), pair)
			}
		}
		for _, m := range written.FindAllStringSubmatch(sql, -1) {
			if known[m[1]+"."+m[2]] && owners[m[1]] != nil && !owns(f.room(), m[1]) {
				t.Errorf("%v: %s writes %s.%s: only %v may write there", set.Position(at.Pos()), f.room(), m[1], m[2], owners[m[1]])
			}
		}
	})
	for pair := range unused {
		t.Errorf("%s: listed, and no SQL does so: delete the line", pair)
	}
}

var partition = regexp.MustCompile(`_(\d+|default)$`)

// TestSchemasArePrinted prints which room writes which tables.
func TestSchemasArePrinted(t *testing.T) {
	t.Parallel()
	tables := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^CREATE TABLE (\w+)\.(\w+)`).FindAllStringSubmatch(schema(t), -1) {
		if !partition.MatchString(m[2]) {
			tables[m[1]] = append(tables[m[1]], m[2])
		}
	}
	var b strings.Builder
	b.WriteString("| Schema | Written by | Tables |\n| --- | --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		if owners[name] == nil {
			t.Errorf("the schema %s has no owner: add the room that writes it", name)
		}
		slices.Sort(tables[name])
		fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", name, strings.Join(owners[name], "`, `"), strings.Join(tables[name], ", "))
	}
	checkPrinted(t, "docs/architecture.md", "schemas", b.String())
}
