package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is one change of one rule.
type mutant struct {
	room, file, rule, kind, what string
	line                         int
	text                         string // file with the broken function
	call                         string // statement that calls it
	body                         int    // offset after the true one's brace
	broken                       bool   // it does not compile
}

func (m *mutant) String() string {
	return fmt.Sprintf("%s:%d %s: %s", filepath.ToSlash(m.file), m.line, m.rule, m.what)
}

// place is the path of the mutant's file. The name must not end in a number: Go builds a file like x_386.go only for
// such machines.
func (m *mutant) place(number int) string {
	return filepath.Join(m.room, fmt.Sprintf("mutant_%d_rule.go", number))
}

// posts reports whether a function makes postings: by Dr and Cr, or as a literal with a side.
func posts(f *ast.FuncDecl) bool {
	found := false
	ast.Inspect(f, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && (id.Name == "Dr" || id.Name == "Cr") {
			found = true
		}
		if field, ok := n.(*ast.KeyValueExpr); ok {
			key, named := field.Key.(*ast.Ident)
			found = found || (named && key.Name == "Side")
		}
		return !found
	})
	return found
}

// finder gathers the mutants of one function.
type finder struct {
	room, file string
	set        *token.FileSet
	tree       *ast.File
	function   *ast.FuncDecl
	first      int        // number of the first
	amounts    []ast.Expr // of its postings
	found      []*mutant
	err        error
}

func (s *finder) add(kind string, at ast.Node, apply func() func(), format string, args ...any) {
	m := &mutant{
		room: s.room, file: s.file, rule: s.function.Name.Name, kind: kind, what: fmt.Sprintf(format, args...),
		line: s.set.Position(at.Pos()).Line,
		body: s.set.Position(s.function.Body.Lbrace).Offset + 1,
	}
	name := fmt.Sprintf("%s_%d", m.rule, s.first+len(s.found))
	undo, rename := apply(), put(&s.function.Name.Name, name)()
	text := s.print(s.function)
	undo()
	rename()
	m.text = "package " + s.tree.Name.Name + "\n"
	for _, i := range s.tree.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		if strings.Contains(text, filepath.Base(strings.TrimSuffix(path, "/v5"))+".") {
			m.text += "import " + i.Path.Value + "\n"
		}
	}
	m.text += text
	var names []string
	for _, f := range s.function.Type.Params.List {
		for _, n := range f.Names {
			names = append(names, n.Name)
		}
	}
	m.call = name + "(" + strings.Join(names, ", ") + ")"
	if s.function.Recv != nil {
		m.call = s.function.Recv.List[0].Names[0].Name + "." + m.call
	}
	if s.function.Type.Results != nil {
		m.call = "return " + m.call
	} else {
		m.call += "; return"
	}
	s.found = append(s.found, m)
}

// put replaces the value behind a pointer; the returned function restores the old value.
func put[T any](at *T, value T) func() func() {
	return func() func() {
		before := *at
		*at = value
		return func() { *at = before }
	}
}

func (s *finder) print(n ast.Node) string {
	var b bytes.Buffer
	s.err = errors.Join(s.err, format.Node(&b, s.set, n))
	return b.String()
}

func (s *finder) show(n ast.Node) string { return strings.Join(strings.Fields(s.print(n)), " ") }

func (s *finder) look() error {
	f := s.function
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok && isPosting(c) {
			s.amounts = append(s.amounts, c.Args[len(c.Args)-2])
		}
		return true
	})
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			s.side(n)
		case *ast.SelectorExpr:
			if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "ledger" {
				s.account(n.Sel)
			}
		case *ast.CallExpr:
			s.call(n)
		case *ast.CompositeLit:
			s.literal(n)
		case *ast.BlockStmt:
			s.block(n)
		case *ast.IfStmt:
			if s.show(n.Cond) == "err != nil" {
				return true // errors are not posting rules
			}
			s.add("condition", n, put[ast.Expr](&n.Cond, &ast.UnaryExpr{Op: token.NOT, X: &ast.ParenExpr{X: n.Cond}}), "negate %s", s.show(n.Cond))
		case *ast.AssignStmt:
			if n.Tok == token.ADD_ASSIGN {
				s.add("amount", n, put(&n.Tok, token.SUB_ASSIGN), "subtract in %s", s.show(n))
			}
		case *ast.UnaryExpr:
			if n.Op == token.SUB {
				s.add("amount", n, put(&n.Op, token.ADD), "without the minus of %s", s.show(n))
			}
		case *ast.BinaryExpr:
			if n.Op == token.SUB {
				s.add("amount", n, put(&n.Op, token.ADD), "add in %s", s.show(n))
			}
		}
		return true
	})
	return s.err
}

// isPosting reports whether a call makes one posting. Either the last two arguments are amount and dimensions, or it is
// one of the rooms' small helpers.
func isPosting(c *ast.CallExpr) bool {
	name := ""
	switch f := c.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		name = f.Sel.Name
	}
	return len(c.Args) >= 3 && slices.Contains([]string{"Dr", "Cr", "add", "debit", "post"}, name)
}

func (s *finder) side(n *ast.Ident) {
	if other, ok := map[string]string{"Dr": "Cr", "Cr": "Dr", "Debit": "Credit", "Credit": "Debit"}[n.Name]; ok {
		s.add("side", n, put(&n.Name, other), "%s becomes %s", n.Name, other)
	}
}

// others names, for each account and each function that makes one, another of the same class. A book with the other
// account still balances.
var others = map[string]string{
	"MemoReceivable": "MemoCollected", "MemoCollected": "MemoObligation", "MemoObligation": "MemoDiscount", "MemoDiscount": "MemoReceivable",
	"ProvisionalPhi": "ProvisionalLePhi", "ProvisionalLePhi": "ProvisionalPhi", "RefundPayable": "Suspense", "Suspense": "RefundPayable",
	"Subsidy": "TreasuryRefund", "TreasuryRefund": "TreasuryWaiting", "TreasuryWaiting": "TreasuryRefund", "BreakShort": "ProviderFee",
	"ProviderFee": "BreakShort", "BudgetPayable": "Retained", "Retained": "BudgetPayable",
	"Clearing": "Bank", "Bank": "Transit", "Transit": "Bank",
}

func (s *finder) account(n *ast.Ident) {
	if other, ok := others[n.Name]; ok {
		s.add("account", n, put(&n.Name, other), "%s becomes %s", n.Name, other)
	}
}

func (s *finder) dimensions() ast.Expr {
	name := ast.Expr(ast.NewIdent("Dimensions"))
	if s.room != "ledger" {
		name = &ast.SelectorExpr{X: ast.NewIdent("ledger"), Sel: ast.NewIdent("Dimensions")}
	}
	return &ast.CompositeLit{Type: name}
}

// mostAmounts bounds the other amounts of the function that a posting is tried with.
const mostAmounts = 3

func (s *finder) call(c *ast.CallExpr) {
	if id, ok := c.Fun.(*ast.Ident); ok && id.Name == "append" {
		s.elements(&c.Args, 1)
		return
	}
	if !isPosting(c) {
		return
	}
	about, amount := &c.Args[len(c.Args)-1], &c.Args[len(c.Args)-2]
	nothing := s.dimensions()
	if text := s.show(*about); strings.Contains(strings.ToLower(text), "policy") || text == "paid" { // a helper that takes only a policy
		nothing = &ast.BasicLit{Kind: token.STRING, Value: `""`}
	}
	if s.show(*about) != s.show(nothing) {
		s.add("dimension", *about, put(about, nothing), "about nothing instead of %s", s.show(*about))
	}
	seen := map[string]bool{s.show(*amount): true}
	for _, other := range s.amounts {
		if text := s.show(other); !seen[text] && len(seen) <= mostAmounts {
			seen[text] = true
			s.add("amount", *amount, put(amount, other), "%s instead of %s", text, s.show(*amount))
		}
	}
	if text := s.show(*amount); strings.HasPrefix(text, "r.amount(") {
		s.add("amount", *amount, put(amount, ast.Expr(&ast.SelectorExpr{X: ast.NewIdent("r"), Sel: ast.NewIdent("Amount")})),
			"r.Amount instead of %s", text)
	}
}

// elements drops postings of a list: one, or two neighbours, which balance.
func (s *finder) elements(list *[]ast.Expr, from int) {
	for _, n := range []int{1, 2} {
		for i := from; i+n <= len(*list); i++ {
			if c, ok := (*list)[i].(*ast.CallExpr); ok && isPosting(c) {
				s.add("dropped", c, put(list, slices.Delete(slices.Clone(*list), i, i+n)), "drop %d from %s", n, s.show(c))
			}
		}
	}
}

// literal drops the dimensions of a posting and shifts the amount of money by one.
func (s *finder) literal(l *ast.CompositeLit) {
	s.elements(&l.Elts, 0)
	for i, e := range l.Elts {
		field, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		switch key := s.show(field.Key); {
		case strings.HasSuffix(s.show(l.Type), "Dimensions"), key == "Dimensions":
			s.add("dimension", field, put(&l.Elts, slices.Delete(slices.Clone(l.Elts), i, i+1)), "without %s", s.show(field))
		case key == "Minor":
			s.add("amount", field, put(&field.Value,
				ast.Expr(&ast.BinaryExpr{X: &ast.ParenExpr{X: field.Value}, Op: token.ADD, Y: &ast.BasicLit{Kind: token.INT, Value: "1"}})),
				"one more than %s", s.show(field.Value))
		case key == "Event", key == "BusinessDate":
			s.add("cause or date", field, put(&l.Elts, slices.Delete(slices.Clone(l.Elts), i, i+1)), "without %s", s.show(field))
		}
	}
}

// block drops one statement: a posting, a loop over postings, a dimension.
func (s *finder) block(b *ast.BlockStmt) {
	for i, statement := range b.List {
		switch statement := statement.(type) {
		case *ast.ExprStmt, *ast.RangeStmt:
		case *ast.IfStmt:
			if s.show(statement.Cond) == "err != nil" {
				continue
			}
		case *ast.AssignStmt:
			if statement.Tok == token.DEFINE {
				continue
			}
		default:
			continue
		}
		text := s.show(statement)
		s.add("dropped", statement, put(&b.List, slices.Delete(slices.Clone(b.List), i, i+1)), "drop %.60s", text)
	}
}
