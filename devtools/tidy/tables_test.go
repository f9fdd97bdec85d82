package tidy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// parsed is the syntax tree of a Go file that is neither a test nor generated.
type parsed struct {
	file
	tree *ast.File
}

// room is the folder of the file.
func (p parsed) room() string { return path.Dir(p.path) }

// trees parses the source once. Positions come from set.
func trees(t *testing.T) []parsed {
	t.Helper()
	all := files(t, ".go")
	parseOnce.Do(func() {
		for _, f := range all {
			if f.testdata() || f.generated() || strings.HasSuffix(f.path, "_test.go") {
				continue
			}
			tree, err := parser.ParseFile(set, f.path, f.text, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				errParse = err
				return
			}
			source = append(source, parsed{f, tree})
		}
	})
	if errParse != nil {
		t.Fatal(errParse)
	}
	return source
}

var (
	set       = token.NewFileSet()
	parseOnce sync.Once
	source    []parsed
	errParse  error
)

// constant is one declared text, with the comment beside it.
type constant struct{ room, typ, name, value, comment string }

// constants lists the constants of text in the order of the source.
func constants(t *testing.T) []constant {
	t.Helper()
	var list []constant
	for _, f := range trees(t) {
		for _, d := range f.tree.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.CONST {
				continue
			}
			for _, s := range decl.Specs {
				spec := s.(*ast.ValueSpec)
				for i, v := range spec.Values {
					value, ok := text(v)
					if !ok {
						continue
					}
					c := constant{room: f.room(), name: spec.Names[i].Name, value: value}
					if id, ok := spec.Type.(*ast.Ident); ok {
						c.typ = id.Name
					}
					c.comment = strings.Join(strings.Fields(spec.Comment.Text()), " ")
					list = append(list, c)
				}
			}
		}
	}
	return list
}

// text is the value of a string literal.
func text(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// ofStatus finds the types whose constants are the statuses of a thing.
var ofStatus = regexp.MustCompile(`(Status|State)$`)

// TestStatusesArePrinted prints docs/states.md: every type of statuses with its
// words, and beside it the table of edges or acts if the room declares one.
func TestStatusesArePrinted(t *testing.T) {
	t.Parallel()
	values := map[string]string{}
	groups := map[string][]constant{}
	for _, c := range constants(t) {
		values[c.room+"."+c.name] = c.value
		// The statuses of a provider's or bank's message are words of the far side.
		if ofStatus.MatchString(c.typ) && !strings.HasPrefix(c.room, "providers") {
			groups[c.room+"."+c.typ] = append(groups[c.room+"."+c.typ], c)
		}
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		var words, notes []string
		for _, c := range groups[name] {
			words = append(words, "`"+c.value+"`")
			if c.comment != "" {
				notes = append(notes, fmt.Sprintf("- `%s`: %s\n", c.value, c.comment))
			}
		}
		fmt.Fprintf(&b, "### `%s`\n\n%s\n\n", name, strings.Join(words, ", "))
		if notes != nil {
			b.WriteString(strings.Join(notes, "") + "\n")
		}
		room, _, _ := strings.Cut(name, ".")
		b.WriteString(moves(t, name, room, values))
	}
	checkPrinted(t, "docs/states.md", "statuses", b.String())
}

// moves prints the variable edges or transitions of a room whose entries are of the named type.
func moves(t *testing.T, typ, room string, values map[string]string) string {
	t.Helper()
	var b strings.Builder
	for _, f := range trees(t) {
		if f.room() != room {
			continue
		}
		comments := map[int]string{} // by line
		for _, g := range f.tree.Comments {
			comments[set.Position(g.Pos()).Line] = strings.Join(strings.Fields(g.Text()), " ")
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 {
				return true
			}
			list, ok := spec.Values[0].(*ast.CompositeLit)
			if !ok {
				return true
			}
			word := func(e ast.Expr) string {
				if id, ok := e.(*ast.Ident); ok {
					return values[room+"."+id.Name]
				}
				s, _ := text(e)
				return s
			}
			switch {
			case spec.Names[0].Name == "edges" && typ == room+".Status":
				b.WriteString("| From | To | Edge | When |\n| --- | --- | --- | --- |\n")
				for _, e := range list.Elts {
					x := e.(*ast.CompositeLit)
					fmt.Fprintf(&b, "| %s | %s | `%s` | %s |\n", word(x.Elts[0]), word(x.Elts[1]), word(x.Elts[2]),
						comments[set.Position(x.Pos()).Line])
				}
				b.WriteString("\n")
			case spec.Names[0].Name == "transitions" && typ == room+".Status":
				b.WriteString("| From | Act | To |\n| --- | --- | --- |\n")
				for _, e := range list.Elts {
					from := e.(*ast.KeyValueExpr)
					for _, a := range from.Value.(*ast.CompositeLit).Elts {
						to := a.(*ast.KeyValueExpr)
						fmt.Fprintf(&b, "| %s | %s | %s |\n", word(from.Key), word(to.Key), word(to.Value))
					}
				}
				b.WriteString("\n")
			}
			return true
		})
	}
	return b.String()
}

// checkedWords finds the closed lists of status words in the dump of the schema.
var checkedWords = regexp.MustCompile(`CONSTRAINT (\w+_(?:state|status)) CHECK \(\((?:state|status) = ANY \(ARRAY\[([^\]]*)\]\)\)\)`)

// unlike lists the constraints whose words differ from those of the source, with the reason.
var unlike = map[string]string{
	"statement_status": "the source also has duplicate, an answer of Ingest that no row stores",
}

// TestStatusesOfTheDatabase compares the words of each constraint with one type of the source.
func TestStatusesOfTheDatabase(t *testing.T) {
	t.Parallel()
	groups := map[string][]string{}
	for _, c := range constants(t) {
		if ofStatus.MatchString(c.typ) {
			groups[c.room+"."+c.typ] = append(groups[c.room+"."+c.typ], c.value)
		}
	}
	sets := map[string]bool{}
	for _, words := range groups {
		slices.Sort(words)
		sets[strings.Join(words, " ")] = true
	}
	n := 0
	for _, m := range checkedWords.FindAllStringSubmatch(schema(t), -1) {
		words := strings.Split(strings.NewReplacer("'", "", "::text", "", ",", "").Replace(m[2]), " ")
		slices.Sort(words)
		n++
		alike := sets[strings.Join(words, " ")]
		if alike && unlike[m[1]] != "" {
			t.Errorf("constraint %s is listed as unlike the source, and is alike: delete the line", m[1])
		}
		if !alike && unlike[m[1]] == "" {
			t.Errorf("constraint %s allows %v: no type of statuses in the source has just these words", m[1], words)
		}
	}
	if n == 0 {
		t.Error("migrations/schema.sql has no constraint of statuses: the pattern of this test is out of date")
	}
}

// schema is the reviewed dump of the database.
func schema(t *testing.T) string {
	t.Helper()
	list := files(t, "migrations/schema.sql")
	if len(list) != 1 {
		t.Fatalf("got %d dumps of the schema, want 1", len(list))
	}
	return list[0].text
}

// TestErrorCodesArePrinted prints docs/errors.md from every fault of the source.
func TestErrorCodesArePrinted(t *testing.T) {
	t.Parallel()
	kinds := map[string]string{} // name of a kind: its word
	var b strings.Builder
	b.WriteString("| Kind | Meaning |\n| --- | --- |\n")
	for _, c := range constants(t) {
		if c.room == "internal/fault" && c.typ == "Kind" {
			kinds[c.name] = c.value
			fmt.Fprintf(&b, "| `%s` | %s |\n", c.value, c.comment)
		}
	}
	rows := map[string]string{}
	for _, f := range trees(t) {
		ast.Inspect(f.tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 3 || !selects(call.Fun, "fault", "New") {
				return true
			}
			code, ok := text(call.Args[1])
			kind, named := call.Args[0].(*ast.SelectorExpr)
			if !ok || !named {
				return true
			}
			message, _ := text(call.Args[2])
			row := fmt.Sprintf("| `%s` | %s | %s |\n", code, kinds[kind.Sel.Name], message)
			if other, twice := rows[code]; twice && other != row {
				t.Errorf("%v: the code %s is declared twice: callers could not tell the faults apart", set.Position(call.Pos()), code)
			}
			rows[code] = row
			return true
		})
	}
	b.WriteString("\n| Code | Kind | Message |\n| --- | --- | --- |\n")
	for _, code := range slices.Sorted(maps.Keys(rows)) {
		b.WriteString(rows[code])
	}
	checkPrinted(t, "docs/errors.md", "codes", b.String())
}

// selects reports whether e is pkg.name.
func selects(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	id, ok := s.X.(*ast.Ident)
	return ok && id.Name == pkg
}

// TestConfigurationIsPrinted prints docs/configuration.md from the struct, the
// names and the defaults of internal/config.
func TestConfigurationIsPrinted(t *testing.T) {
	t.Parallel()
	names := map[string]string{} // constant: variable of the environment
	for _, c := range constants(t) {
		if c.room == "internal/config" && strings.HasPrefix(c.value, "DOISOAT_") {
			names[c.name] = c.value
		}
	}
	meaning, standard := map[string]string{}, map[string]string{}
	for _, f := range trees(t) {
		if f.room() != "internal/config" {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Field:
				for _, id := range n.Names {
					if names[id.Name] != "" && n.Comment != nil {
						meaning[id.Name] = strings.Join(strings.Fields(n.Comment.Text()), " ")
					}
				}
			case *ast.CallExpr: // r.number(MaxConns, 16, 2, 1000): default, least, most
				if len(n.Args) < 2 {
					return true
				}
				id, ok := n.Args[0].(*ast.Ident)
				if !ok || names[id.Name] == "" {
					return true
				}
				standard[id.Name] = "`" + f.between(n.Args[1]) + "`"
				if len(n.Args) == 4 {
					standard[id.Name] += fmt.Sprintf(", from `%s` to `%s`", f.between(n.Args[2]), f.between(n.Args[3]))
				}
			}
			return true
		})
	}
	var b strings.Builder
	b.WriteString("| Variable | Meaning | Default and limits |\n| --- | --- | --- |\n")
	for _, c := range constants(t) {
		if names[c.name] != c.value || c.room != "internal/config" {
			continue
		}
		if meaning[c.name] == "" {
			t.Errorf("%s: the field %s of config.Config has no comment beside it", c.value, c.name)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.value, meaning[c.name], standard[c.name])
	}
	checkPrinted(t, "docs/configuration.md", "settings", b.String())
}

// between is the source text of a node.
func (p parsed) between(n ast.Node) string {
	return p.text[set.Position(n.Pos()).Offset:set.Position(n.End()).Offset]
}

// TestRowsArePrinted prints the table of rows into its decision, and every package with its purpose into the page about the parts.
func TestRowsArePrinted(t *testing.T) {
	t.Parallel()
	byRow := map[int][]string{}
	var b strings.Builder
	b.WriteString("| Package | Row | Purpose |\n| --- | ---: | --- |\n")
	have := map[string]bool{}
	for _, p := range packages(t) {
		row, ok := rows[p.room()]
		if len(p.GoFiles) == 0 || !ok {
			continue
		}
		have[p.room()] = true
		byRow[row] = append(byRow[row], p.room())
		fmt.Fprintf(&b, "| `%s` | %d | %s |\n", p.room(), row, purpose(p))
	}
	for room := range rows {
		if !have[room] {
			t.Errorf("%s has a row and no Go file: delete its row until the package exists", room)
		}
	}
	checkPrinted(t, "docs/architecture.md", "packages", b.String())

	b.Reset()
	b.WriteString("| Row | Packages |\n| ---: | --- |\n")
	for _, row := range slices.Sorted(maps.Keys(byRow)) {
		fmt.Fprintf(&b, "| %d | %s |\n", row, strings.Join(byRow[row], ", "))
	}
	checkPrinted(t, "docs/adr/0002-rooms-and-rows.md", "rows", b.String())
}

// purpose is the first sentence of a package's comment without its subject.
func purpose(p pkg) string {
	for _, subject := range []string{"Package " + p.Name + " ", "Command " + path.Base(p.ImportPath) + " "} {
		if rest, ok := strings.CutPrefix(p.Doc, subject); ok {
			return strings.TrimSuffix(strings.TrimSuffix(rest, "."), ":")
		}
	}
	return strings.TrimSuffix(p.Doc, ".")
}
