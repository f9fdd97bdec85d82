// Package settlement reads the settlement files of providers in CSV. For each
// layout a mapping profile names the columns. Package formats calls this package
// to read a file, and the reconcile room calls it to list the profiles.
//
// The package is pure: bytes in, lines out. Invariants: all values of a column
// together decide the style of its numbers; a changed layout gets a new version
// of its profile, so that an old file keeps its reading; a total row that
// contradicts the rows rejects the file.
package settlement

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/text"
	"github.com/doisoat/doisoat/providers/statements"
)

const (
	headerRows = 60 // rows searched for the header
	delimiters = ",;\t|"
)

// amounts are the fields that hold numbers, in the order of row.numbers.
var amounts = [...]field{fieldAmount, fieldFee, fieldFeeVAT, fieldNet}

// row is one row of the file with its line number.
type row struct {
	line  int
	cells []string
}

// reader turns the rows of one file into statements.
type reader struct {
	file     *statements.File
	layout   layout
	columns  [len(amounts)]statements.Column
	styles   [len(amounts)]statements.Style
	rows     int                           // transactions
	footer   *row                          // the last total row
	accounts map[string]int                // account to index in file.Statements
	batches  map[string]map[string]int     // account to batch to index
	written  [len(amounts)]decimal.Decimal // sums of all rows, signs as in the file
	counted  [len(amounts)]decimal.Decimal // sums of booked rows, signs as in the file
	signed   [len(amounts)]decimal.Decimal // sums of booked rows, money paid back negative
	booked   int
	loose    bool
}

// Read reads a CSV file into f by the named profile, or by the best of all
// profiles when profile is empty. It fails with a [statements.Refusal].
func Read(f *statements.File, raw []byte, profile string) error {
	content, guessed := decode(raw)
	if strings.IndexByte(content, 0) >= 0 {
		return statements.Refuse(0, statements.UnsupportedType, "the file is not text")
	}
	found, err := findLayout(content, profile)
	if err != nil {
		var r statements.Refusal
		if errors.As(err, &r) && guessed && r.Problem.Code == statements.UnknownLayout {
			r.Problem.Detail += "; the text is not UTF-8 and may be in a font encoding such as TCVN3 or VNI: save it as UTF-8"
			return r
		}
		return err
	}
	f.Format, f.Profile = statements.Settlement, found.profile.Name
	s := &reader{file: f, layout: found, accounts: map[string]int{}, batches: map[string]map[string]int{}}
	// The style of a column's numbers is known only after its last value.
	// Therefore Read reads the text twice, which costs less than keeping every cell.
	if err := s.each(content, s.learn); err != nil {
		return err
	}
	for i, c := range s.columns {
		var ok bool
		if s.styles[i], ok = c.Style(); !ok {
			return statements.Refuse(0, statements.AmountAmbiguous, "column %s writes numbers in ways that contradict each other", amounts[i])
		}
	}
	if err := s.each(content, s.add); err != nil {
		return err
	}
	if s.rows == 0 {
		return statements.Refuse(0, statements.NoStatement, "the file has a header and no transaction")
	}
	for i := range f.Statements {
		f.Statements[i].CheckBalance() // settlement files carry no balances: missing
	}
	return s.checkFooter()
}

// findLayout finds the header among the first rows. It takes the profile, the
// delimiter and the row that map the most fields.
func findLayout(content, name string) (layout, error) {
	candidates := profiles
	if name != "" {
		p, known := profiles[name]
		if !known {
			return layout{}, statements.Refuse(0, statements.UnknownProfile, "there is no mapping profile %s", statements.Quote(name))
		}
		candidates = map[string]*Profile{name: p}
	}
	var best layout
	var nearest []field
	names := Profiles() // a fixed order makes ties deterministic
	for i := range len(delimiters) {
		t := newTable(content, delimiters[i])
		for n := range headerRows {
			cells, _, done, err := t.next()
			if done || err != nil {
				break // with another delimiter the row may be valid
			}
			for _, candidate := range names {
				p := candidates[candidate]
				if p == nil {
					continue
				}
				at, missing := p.fit(cells)
				if len(missing) > 0 {
					if len(at) > 2 && (nearest == nil || len(missing) < len(nearest)) {
						nearest = missing
					}
					continue
				}
				if len(at) > len(best.at) {
					best = layout{profile: p, at: at, comma: delimiters[i], header: n}
				}
			}
		}
	}
	switch {
	case best.profile != nil:
		return best, nil
	case nearest != nil:
		return layout{}, statements.Refuse(0, statements.UnknownLayout, "no mapping profile fits: the nearest lacks the columns %v", nearest)
	}
	return layout{}, statements.Refuse(0, statements.UnknownLayout,
		"no mapping profile fits: no row has the header words of a known layout")
}

// class is the class of a row below the header.
type class int

const (
	transaction class = iota
	total             // begins with a footer word and has an amount
	remark            // neither a transaction nor a total
)

func (s *reader) class(r row) class {
	p := s.layout.profile
	amount := s.layout.cell(r.cells, fieldAmount)
	// A merchant may be called "Total": a row with a known kind is a transaction.
	_, kind := p.kinds[text.Words(s.layout.cell(r.cells, fieldKind))]
	switch {
	case kind, amount != "" && !p.isFooter(r.cells):
		return transaction
	case amount != "":
		return total
	}
	return remark
}

// each calls do for every row below the header that has text.
func (s *reader) each(content string, do func(row) error) error {
	t := newTable(content, s.layout.comma)
	for n := 0; ; n++ {
		cells, line, done, err := t.next()
		switch {
		case err != nil:
			return err
		case done:
			s.loose = t.loose
			return nil
		case n > statements.MaxRows:
			return statements.Refuse(0, statements.TooManyRows, "the file has more than 1,000,000 rows")
		case n <= s.layout.header || empty(cells):
			continue
		}
		if err := do(row{line, cells}); err != nil {
			return err
		}
	}
}

// learn reads a row in the first pass. It learns the styles of numbers, keeps the
// total row, and notes a row that is neither a transaction nor a total.
func (s *reader) learn(r row) error {
	switch s.class(r) {
	case total:
		s.footer = &r
	case transaction:
		s.rows++
		if blank(s.layout.cell(r.cells, fieldAmount)) {
			return statements.Refuse(r.line, statements.AmountNotNumber, "the transaction has no amount")
		}
	case remark:
		if s.footer == nil && !s.layout.profile.isFooter(r.cells) { // below the totals stand names and signatures
			s.file.Note(r.line, statements.UnreadableRow, "the row is neither a transaction nor a total")
		}
		return nil
	}
	return s.see(r)
}

// see adds the numbers of a row to the styles of their columns.
func (s *reader) see(r row) error {
	for i, f := range amounts {
		if cell := s.layout.cell(r.cells, f); !blank(cell) && !s.columns[i].See(cell) {
			return statements.Refuse(r.line, statements.AmountNotNumber, "%s is %s, which is no number", f, statements.Quote(cell))
		}
	}
	return nil
}

// blank reports whether a number cell holds no number: it is empty or a dash.
func blank(cell string) bool { return cell == "" || cell == "-" }

// numbers reads the four amounts of a row. has is true for each amount that the row gives.
func (s *reader) numbers(r row) (values [len(amounts)]decimal.Decimal, has [len(amounts)]bool, err error) {
	for i, f := range amounts {
		cell := s.layout.cell(r.cells, f)
		if blank(cell) {
			continue
		}
		var ok bool
		if values[i], ok = s.styles[i].Signed(cell); !ok {
			return values, has, statements.Refuse(r.line, statements.AmountNotNumber, "%s is %s, which is no number", f, statements.Quote(cell))
		}
		has[i] = true
	}
	return values, has, nil
}

// add reads a row in the second pass. It turns the row into a line of its account's statement.
func (s *reader) add(r row) error {
	if s.class(r) != transaction {
		return nil
	}
	values, has, err := s.numbers(r)
	if err != nil {
		return err
	}
	p, cell := s.layout.profile, func(f field) string { return s.layout.cell(r.cells, f) }
	l := statements.Line{
		Row: r.line, Amount: values[0], Fee: values[1], FeeVAT: values[2], Net: values[3], Currency: p.Currency,
		Ref: cell(fieldBankRef), Reference: cell(fieldReference), TransactionID: cell(fieldTransactionID),
		OriginalID: cell(fieldOriginalID), BatchID: cell(fieldBatchID), Content: cell(fieldContent),
	}
	l.ContentJoined = l.Content
	s.words(&l, cell(fieldKind), cell(fieldStatus))
	s.times(&l, cell(fieldTime), cell(fieldValueDate))
	if l.TransactionID == "" && l.Reference == "" {
		s.file.Note(l.Row, statements.MissingID, "the row has neither a transaction id nor a reference")
	}
	if slices.Contains(p.Negative, l.Kind) {
		l.Amount = l.Amount.Abs().Neg()
	} else if l.Kind == statements.Payment && l.Amount.IsNegative() {
		s.file.Note(l.Row, statements.SignConflict, "a payment has the amount %s", l.Amount)
	}
	due := l.Amount.Sub(l.Fee).Sub(l.FeeVAT)
	if !has[3] {
		l.Net = due
	}
	if p.CheckNet && !l.Net.Equal(due) {
		s.file.Note(l.Row, statements.RowNetMismatch, "net is %s, but gross - fee - VAT is %s", l.Net, due)
	}
	if _, err := l.Settled(); err != nil {
		s.file.Note(l.Row, statements.AmountNotWhole, "an amount of the row cannot be booked in minor units of %s", l.Currency)
	}
	s.keep(l, cell(fieldAccount), values)
	return nil
}

// words translates kind and status. It keeps a row with an unknown word and notes a problem.
func (s *reader) words(l *statements.Line, kind, status string) {
	p := s.layout.profile
	var known bool
	if l.Kind, known = p.kinds[text.Words(kind)]; !known {
		s.file.Note(l.Row, statements.UnknownKind, "kind %s is not known to profile %s", statements.Quote(kind), p.Name)
	}
	if _, mapped := s.layout.at[fieldStatus]; !mapped {
		l.Status = statements.Booked // a layout without the column lists settled rows only
		return
	}
	if l.Status, known = p.statuses[text.Words(status)]; !known {
		l.Status = statements.Information
		s.file.Note(l.Row, statements.UnknownStatus,
			"status %s is not known to profile %s: the row is not counted", statements.Quote(status), p.Name)
	}
}

// times reads the time of the payment and the day of the settlement, as days of Viet Nam.
func (s *reader) times(l *statements.Line, paid, settled string) {
	if at, ok := s.layout.profile.instant(paid, calendar.HoChiMinh); ok {
		l.OccurredAt, l.BookingDate = at, calendar.On(at)
	} else {
		s.file.Note(l.Row, statements.BadDate, "time is %s", statements.Quote(paid))
	}
	if settled == "" {
		return
	}
	if at, ok := s.day(settled); ok {
		l.ValueDate = calendar.On(at)
	} else {
		s.file.Note(l.Row, statements.BadDate, "value date is %s", statements.Quote(settled))
	}
}

// day reads a date with or without a time, day first.
func (s *reader) day(written string) (time.Time, bool) {
	for _, form := range []string{"02/01/2006", "02-01-2006", time.DateOnly} {
		if at, err := time.ParseInLocation(form, written, calendar.HoChiMinh); err == nil {
			return at, true
		}
	}
	return s.layout.profile.instant(written, calendar.HoChiMinh)
}

// keep adds the line to its account and batch, and to the sums for the footer.
func (s *reader) keep(l statements.Line, account string, values [len(amounts)]decimal.Decimal) {
	at, known := s.accounts[account]
	if !known {
		at = len(s.file.Statements)
		s.accounts[account] = at
		s.batches[account] = map[string]int{}
		s.file.Statements = append(s.file.Statements, statements.Statement{Account: account, Currency: l.Currency})
	}
	st := &s.file.Statements[at]
	st.Add(l)
	for i := range values {
		s.written[i] = s.written[i].Add(values[i])
	}
	if l.Status != statements.Booked {
		return
	}
	s.booked++
	signed := [len(amounts)]decimal.Decimal{l.Amount, l.Fee, l.FeeVAT, l.Net}
	for i := range values {
		s.counted[i], s.signed[i] = s.counted[i].Add(values[i]), s.signed[i].Add(signed[i])
	}
	b, known := s.batches[account][l.BatchID]
	if !known {
		b = len(st.Batches)
		s.batches[account][l.BatchID] = b
		st.Batches = append(st.Batches, statements.Batch{ID: l.BatchID})
	}
	batch := &st.Batches[b]
	batch.Rows++
	batch.Gross, batch.Fee = batch.Gross.Add(l.Amount), batch.Fee.Add(l.Fee)
	batch.FeeVAT, batch.Net = batch.FeeVAT.Add(l.FeeVAT), batch.Net.Add(l.Net)
}

// checkFooter compares the last total row with the sums. A provider may sum all
// rows or only the settled ones, and may or may not deduct money paid back. A
// total that fits none of these sums proves that rows are missing or changed.
func (s *reader) checkFooter() error {
	if s.loose {
		s.file.Note(0, statements.LooseQuotes, "quotes inside cells follow no rule and were kept as text")
	}
	if s.footer == nil {
		return nil
	}
	last := *s.footer
	totals, has, err := s.numbers(last)
	if err != nil {
		return err
	}
	for i, f := range amounts {
		if !has[i] || !slices.Contains(s.layout.profile.Footer.Check, f) {
			continue
		}
		if t := totals[i]; !t.Equal(s.written[i]) && !t.Equal(s.counted[i]) && !t.Equal(s.signed[i]) {
			return statements.Refuse(last.line, statements.TotalMismatch, "the total of %s is %s, but the rows add up to %s", f, t, s.signed[i])
		}
	}
	count := s.layout.cell(last.cells, s.layout.profile.Footer.Count)
	n, err := strconv.Atoi(count)
	if err == nil && n != s.rows && n != s.booked {
		return statements.Refuse(last.line, statements.TotalMismatch, "the file says it has %d transactions, but %s", n, counted(s.rows))
	}
	return nil
}

func counted(rows int) string {
	if rows == 1 {
		return "1 row is there"
	}
	return fmt.Sprintf("%d rows are there", rows)
}
