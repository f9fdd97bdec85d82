// Package camt reads the cash management messages of ISO 20022: camt.053, and
// the interim camt.052 and camt.054. Package formats calls it after it has
// recognised XML.
//
// The package is pure: reader in, lines out. Invariants: it reads every version,
// with any namespace or none; it skips unknown elements; it keeps only the
// members of a line from an entry, so that the limits bound its memory; a
// document type declaration rejects the file.
package camt

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/providers/statements"
)

// messages are the roots of ISO 20022 cash management messages and the name
// of the statements in them.
var messages = map[string]struct {
	format    statements.Format
	statement string
}{
	"BkToCstmrStmt":         {statements.Camt053, "Stmt"},
	"BkToCstmrAcctRpt":      {statements.Camt052, "Rpt"},
	"BkToCstmrDbtCdtNtfctn": {statements.Camt054, "Ntfctn"},
}

// reader reads the tokens of one file. It recognises an element by its path of
// local names, so that it reads every version with any namespace or none. It
// skips unknown elements, and keeps only the members of Line from an entry.
type reader struct {
	file *statements.File
	path []byte // "Document/BkToCstmrStmt/Stmt/Ntry/"
	ends []int  // length of path before each open element
	text []byte // of the innermost open element
	leaf bool   // the innermost element has no child so far
	attr string // Ccy attribute of the innermost element
	seen bool   // a root was read

	inMessage   int // depth of the message element, 0 outside
	inStatement int // depth of the statement element, 0 outside

	rows     int // entries and details so far
	entries  int
	st       *statements.Statement
	summary  summary
	balances int
	bal      balanceText
	entry    *entryText
	assumed  bool // status_assumed was noted for this statement
}

// Read reads the messages of one file into f. It fails with a
// [statements.Refusal], with the error of the reader, or with the error of
// broken XML.
func Read(f *statements.File, in io.Reader) error {
	dec := xml.NewDecoder(in)
	dec.CharsetReader = charsetReader
	c := &reader{file: f}
	for {
		token, err := dec.RawToken() // checks the syntax; c checks the nesting
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := c.token(token); err != nil {
			return err
		}
	}
	return c.end()
}

func (c *reader) token(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return c.open(t)
	case xml.EndElement:
		return c.close(t.Name.Local)
	case xml.CharData:
		if !c.leaf {
			return nil
		}
		if len(c.text)+len(t) > statements.MaxText {
			return statements.Refuse(c.row(), statements.TextTooLong, "a text is longer than 32 KiB")
		}
		c.text = append(c.text, t...)
	case xml.Directive:
		return statements.Refuse(0, statements.Doctype, "the file has a document type declaration; such files are not read")
	}
	return nil
}

func (c *reader) open(t xml.StartElement) error {
	switch {
	case len(c.ends) >= statements.MaxDepth:
		return statements.Refuse(c.row(), statements.TooDeep, "elements are nested more than 64 deep")
	case len(c.path)+len(t.Name.Local) > statements.MaxText:
		return statements.Refuse(c.row(), statements.TextTooLong, "element names are longer than 32 KiB")
	case len(c.ends) == 0 && c.seen:
		return statements.Refuse(0, statements.BrokenXML, "the file has more than one root element")
	}
	c.seen = true
	c.ends = append(c.ends, len(c.path))
	c.path = append(append(c.path, t.Name.Local...), '/')
	c.text, c.leaf, c.attr = c.text[:0], true, ""
	for _, a := range t.Attr {
		switch {
		case a.Name.Local == "Ccy":
			c.attr = a.Value
		case c.inMessage == 0 && (a.Name.Local == "xmlns" || a.Name.Space == "xmlns"):
			if i := strings.LastIndex(a.Value, "camt.05"); i >= 0 && len(a.Value)-i <= len("camt.053.001.08") {
				c.file.Message = a.Value[i:]
			}
		}
	}
	return c.opened(t.Name.Local)
}

// opened starts a message, a statement or a part of a statement.
func (c *reader) opened(name string) error {
	switch {
	case c.inMessage == 0:
		message, known := messages[name]
		if !known {
			return nil
		}
		if c.file.Format != "" && c.file.Format != message.format {
			return statements.Refuse(0, statements.UnknownLayout, "the file holds messages of different kinds")
		}
		c.file.Format, c.inMessage = message.format, len(c.ends)
	case c.inStatement == 0:
		if len(c.ends) == c.inMessage+1 && name == messages[c.local(c.inMessage)].statement {
			c.inStatement = len(c.ends)
			c.st, c.summary, c.balances, c.assumed = &statements.Statement{}, summary{}, 0, false
		}
	case len(c.ends) == c.inStatement+1 && name == "Bal":
		c.bal = balanceText{}
	case len(c.ends) == c.inStatement+1 && name == "Ntry":
		c.entries++
		c.entry = &entryText{}
		return c.count()
	case c.entry != nil && string(c.below()) == "Ntry/NtryDtls/TxDtls/":
		c.entry.details = append(c.entry.details, detailText{})
		return c.count()
	}
	return nil
}

// count keeps the number of entries and details within MaxRows.
func (c *reader) count() error {
	if c.rows++; c.rows > statements.MaxRows {
		return statements.Refuse(0, statements.TooManyRows, "the file has more than 1,000,000 entries and transactions")
	}
	return nil
}

func (c *reader) close(name string) error {
	depth := len(c.ends)
	if depth == 0 || c.local(depth) != name {
		return statements.Refuse(c.row(), statements.BrokenXML, "element %s is closed where it is not open", statements.Quote(name))
	}
	if c.inStatement > 0 && depth > c.inStatement && c.leaf {
		text := strings.TrimSpace(string(c.text))
		if !norm.NFC.IsNormalString(text) {
			text = norm.NFC.String(text)
		}
		c.value(text)
	} else if c.inMessage > 0 && c.leaf && string(c.path[c.ends[c.inMessage-1]:]) == c.local(c.inMessage)+"/GrpHdr/MsgId/" {
		c.file.MessageID = strings.TrimSpace(string(c.text))
	}
	var err error
	switch {
	case c.inStatement > 0 && depth == c.inStatement+1 && name == "Bal":
		err = c.endBalance()
	case c.inStatement > 0 && depth == c.inStatement+1 && name == "Ntry":
		err = c.endEntry()
	case depth == c.inStatement:
		c.endStatement()
		c.inStatement = 0
	case depth == c.inMessage:
		c.inMessage = 0
	}
	c.path, c.ends, c.leaf = c.path[:c.ends[depth-1]], c.ends[:depth-1], false
	return err
}

// end checks that the file is whole and holds at least one statement.
func (c *reader) end() error {
	switch {
	case len(c.ends) > 0 || !c.seen:
		return statements.Refuse(0, statements.BrokenXML, "the file is cut off: %d elements are not closed", len(c.ends))
	case c.file.Format == "":
		return statements.Refuse(0, statements.UnknownLayout, "the XML is no camt.052, camt.053 or camt.054")
	}
	for _, st := range c.file.Statements {
		if len(st.Lines) > 0 || st.Opening != nil || st.Closing != nil {
			return nil
		}
	}
	return statements.Refuse(0, statements.NoStatement, "the file holds no statement with an entry or a balance")
}

// local returns the name of the open element at a depth, counted from 1.
func (c *reader) local(depth int) string {
	end := len(c.path)
	if depth < len(c.ends) {
		end = c.ends[depth]
	}
	return string(c.path[c.ends[depth-1] : end-1])
}

// below returns the path inside the statement, "Bal/Amt/".
func (c *reader) below() []byte { return c.path[c.ends[c.inStatement]:] }

// row returns the number of the current entry, 0 outside entries.
func (c *reader) row() int {
	if c.entry == nil {
		return 0
	}
	return c.entries
}

// value takes the text of a leaf inside a statement.
func (c *reader) value(text string) {
	path := string(c.below())
	if rest, ok := strings.CutPrefix(path, "Ntry/"); ok {
		c.entry.value(rest, text, c.attr)
		return
	}
	switch path {
	case "Id/":
		c.st.ID = text
	case "ElctrncSeqNb/":
		c.st.Sequence = text
	case "LglSeqNb/":
		if c.st.Sequence == "" {
			c.st.Sequence = text
		}
	case "FrToDt/FrDtTm/":
		c.st.From, _, _ = moment(text, false) // a hint only: no sum depends on the period
	case "FrToDt/ToDtTm/":
		c.st.To, _, _ = moment(text, false)
	case "Acct/Id/IBAN/":
		c.st.Account = text
	case "Acct/Id/Othr/Id/":
		if c.st.Account == "" {
			c.st.Account = text
		}
	case "Acct/Ccy/":
		c.st.Currency = money.Currency(text)
	case "Acct/Svcr/FinInstnId/BIC/", "Acct/Svcr/FinInstnId/BICFI/":
		c.st.Bank = text
	case "Bal/Tp/CdOrPrtry/Cd/", "Bal/Tp/CdOrPrtry/Prtry/":
		c.bal.code = text
	case "Bal/Amt/":
		c.bal.amount, c.bal.currency = text, c.attr
	case "Bal/CdtDbtInd/":
		c.bal.indicator = text
	case "Bal/Dt/Dt/", "Bal/Dt/DtTm/":
		c.bal.date = text
	default:
		c.summary.value(path, text)
	}
}

// balanceText is a balance as the file writes it.
type balanceText struct{ code, amount, currency, indicator, date string }

// endBalance keeps the opening and the closing balance. OPBD has precedence over
// PRCD. Of several opening balances the first counts, of several closing
// balances the last.
func (c *reader) endBalance() error {
	b := c.bal
	number, negative := strings.CutPrefix(b.amount, "-")
	amount, ok := statements.Decimal(number)
	if !ok {
		return statements.Refuse(0, statements.AmountNotNumber,
			"balance %s is %s, which is no number", statements.Quote(b.code), statements.Quote(b.amount))
	}
	currency := money.Currency(b.currency)
	if c.balances++; c.balances == 1 && c.st.Currency == "" {
		c.st.Currency = currency
	}
	if b.code != "OPBD" && b.code != "PRCD" && b.code != "CLBD" {
		return nil
	}
	switch b.indicator {
	case "DBIT":
		amount = amount.Abs().Neg()
	case "CRDT":
		if negative {
			amount = amount.Neg()
		}
	default:
		if negative {
			amount = amount.Neg()
		}
		c.file.Note(0, statements.IndicatorAssumed, "balance %s of statement %s says neither credit nor debit: taken as it is written",
			b.code, statements.Quote(c.st.ID))
	}
	date, _, err := moment(b.date, currency == money.VND)
	if err != nil {
		c.file.Note(0, statements.BadDate, "balance %s has the date %s", b.code, statements.Quote(b.date))
	}
	found := &statements.Balance{Code: b.code, Amount: amount, Currency: currency, Date: date}
	switch {
	case b.code == "CLBD":
		c.st.Closing = found
	case c.st.Opening == nil, c.st.Opening.Code == "PRCD" && b.code == "OPBD":
		c.st.Opening = found
	}
	return nil
}

// endStatement counts, checks and keeps the statement.
func (c *reader) endStatement() {
	st := c.st
	if st.Account == "" {
		c.file.Note(0, statements.MissingAccount, "statement %s names no account", statements.Quote(st.ID))
	}
	lines := st.Lines
	if st.Currency == "" && len(lines) > 0 {
		st.Currency = lines[0].Currency
	}
	st.Lines = lines[:0]
	for _, l := range lines {
		if l.Currency != st.Currency {
			c.file.Note(l.Row, statements.ForeignEntry, "the entry is in %s, the account in %s: it is not in the sums", l.Currency, st.Currency)
		}
		st.Add(l)
	}
	if computed := st.CheckBalance(); st.BalanceCheck == statements.CheckMismatch {
		c.file.Note(0, statements.BalanceMismatch, "statement %s: opening + credits - debits is %s, its closing balance %s",
			statements.Quote(st.ID), computed, st.Closing.Amount)
	}
	c.summary.check(c.file, st)
	for i := len(c.file.Statements) - 1; i >= 0; i-- {
		before := &c.file.Statements[i]
		if before.Account != st.Account || before.Currency != st.Currency {
			continue
		}
		if before.Closing != nil && st.Opening != nil && !before.Closing.Amount.Equal(st.Opening.Amount) {
			c.file.Note(0, statements.ChainGap,
				"statement %s does not open with the closing balance of the one before it", statements.Quote(st.ID))
		}
		break
	}
	c.file.Statements = append(c.file.Statements, *st)
	c.st = nil
}

// moment reads xs:date or xs:dateTime. For accounts in đồng vietnam is set, and a
// time with an offset falls on a day of Viet Nam. For other accounts the day is
// the bank's own, as written. A time without offset is local.
func moment(text string, vietnam bool) (date calendar.Date, at instant, err error) {
	if text == "" {
		return calendar.Date{}, instant{}, nil
	}
	if at, err = readInstant(text); err == nil {
		if vietnam {
			return calendar.On(at.Time), at, nil
		}
		y, m, d := at.Date()
		return calendar.Date{Year: y, Month: m, Day: d}, at, nil
	}
	day, zone := text, ""
	if len(text) > len("2006-01-02") {
		day, zone = text[:len("2006-01-02")], text[len("2006-01-02"):]
	}
	if date, err = calendar.Parse(day); err == nil && !isZone(zone) {
		err = calendar.ErrDate
		date = calendar.Date{}
	}
	return date, instant{}, err
}
