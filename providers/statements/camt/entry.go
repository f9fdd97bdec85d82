package camt

import (
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/providers/statements"
)

// entryText is an entry as the file writes it. endEntry checks it and makes a line.
type entryText struct {
	amount, currency, indicator, status, reversal string
	booked, valued                                string
	entryRef, servicerRef                         string
	domain, family, subFamily, proprietary        string
	batchID, batchCount, additional               string
	charges                                       []chargeText
	details                                       []detailText
}

// chargeText is one charge: Chrgs/Rcrd since version 04, Chrgs itself before.
type chargeText struct{ amount, currency, indicator, included string }

// detailText is one transaction as the file writes it.
type detailText struct {
	amount, currency, indicator                    string
	transacted, transactedCcy, ordered, orderedCcy string
	endToEnd, transaction, instruction, uetr, ref  string
	returnReason, additional, when                 string
	unstructured, structured                       []string
	debtor, creditor                               statements.Party
}

func (e *entryText) value(path, text, currency string) {
	if rest, ok := strings.CutPrefix(path, "NtryDtls/TxDtls/"); ok {
		if n := len(e.details); n > 0 {
			e.details[n-1].value(rest, text, currency)
		}
		return
	}
	if rest, ok := strings.CutPrefix(path, "Chrgs/"); ok {
		e.charge(strings.TrimPrefix(rest, "Rcrd/"), text, currency)
		return
	}
	switch path {
	case "NtryRef/":
		e.entryRef = text
	case "Amt/":
		e.amount, e.currency = text, currency
	case "CdtDbtInd/":
		e.indicator = text
	case "RvslInd/":
		e.reversal = text
	case "Sts/", "Sts/Cd/", "Sts/Prtry/":
		e.status = text
	case "BookgDt/Dt/", "BookgDt/DtTm/":
		e.booked = text
	case "ValDt/Dt/", "ValDt/DtTm/":
		e.valued = text
	case "AcctSvcrRef/":
		e.servicerRef = text
	case "BkTxCd/Domn/Cd/":
		e.domain = text
	case "BkTxCd/Domn/Fmly/Cd/":
		e.family = text
	case "BkTxCd/Domn/Fmly/SubFmlyCd/":
		e.subFamily = text
	case "BkTxCd/Prtry/Cd/":
		e.proprietary = text
	case "NtryDtls/Btch/NbOfTxs/":
		e.batchCount = text
	case "NtryDtls/Btch/PmtInfId/":
		e.batchID = text
	case "NtryDtls/Btch/MsgId/":
		if e.batchID == "" {
			e.batchID = text
		}
	case "AddtlNtryInf/":
		e.additional = text
	}
}

// charge fills the current charge. The element Amt begins a new one.
func (e *entryText) charge(path, text, currency string) {
	if path == "Amt/" {
		e.charges = append(e.charges, chargeText{amount: text, currency: currency})
		return
	}
	if len(e.charges) == 0 {
		return // TtlChrgsAndTaxAmt is a total: its records follow
	}
	last := &e.charges[len(e.charges)-1]
	switch path {
	case "CdtDbtInd/":
		last.indicator = text
	case "ChrgInclInd/":
		last.included = text
	}
}

func (d *detailText) value(path, text, currency string) {
	if rest, ok := strings.CutPrefix(path, "RltdPties/"); ok {
		d.party(rest, text)
		return
	}
	switch path {
	case "Amt/":
		d.amount, d.currency = text, currency
	case "CdtDbtInd/":
		d.indicator = text
	case "AmtDtls/TxAmt/Amt/":
		d.transacted, d.transactedCcy = text, currency
	case "AmtDtls/InstdAmt/Amt/":
		d.ordered, d.orderedCcy = text, currency
	case "Refs/EndToEndId/":
		d.endToEnd = text
	case "Refs/TxId/":
		d.transaction = text
	case "Refs/InstrId/":
		d.instruction = text
	case "Refs/UETR/":
		d.uetr = text
	case "Refs/AcctSvcrRef/":
		d.ref = text
	case "RtrInf/Rsn/Cd/":
		d.returnReason = text
	case "AddtlTxInf/":
		d.additional = text
	case "RltdDts/TxDtTm/", "RltdDts/AccptncDtTm/":
		d.when = text
	case "RmtInf/Ustrd/":
		d.unstructured = append(d.unstructured, text)
	case "RmtInf/Strd/CdtrRefInf/Ref/", "RmtInf/Strd/CdtrRefInf/CdtrRef/":
		d.structured = append(d.structured, text)
	case "RltdAgts/DbtrAgt/FinInstnId/BIC/", "RltdAgts/DbtrAgt/FinInstnId/BICFI/", "RltdAgts/DbtrAgt/FinInstnId/ClrSysMmbId/MmbId/":
		d.debtor.Bank = text
	case "RltdAgts/CdtrAgt/FinInstnId/BIC/", "RltdAgts/CdtrAgt/FinInstnId/BICFI/", "RltdAgts/CdtrAgt/FinInstnId/ClrSysMmbId/MmbId/":
		d.creditor.Bank = text
	}
}

// party reads names and accounts. Since version 08 they stand one level deeper, in Pty.
func (d *detailText) party(path, text string) {
	switch path {
	case "Dbtr/Nm/", "Dbtr/Pty/Nm/":
		d.debtor.Name = text
	case "DbtrAcct/Id/IBAN/", "DbtrAcct/Id/Othr/Id/":
		d.debtor.Account = text
	case "Cdtr/Nm/", "Cdtr/Pty/Nm/":
		d.creditor.Name = text
	case "CdtrAcct/Id/IBAN/", "CdtrAcct/Id/Othr/Id/":
		d.creditor.Account = text
	}
}

// endEntry turns the entry into a line.
func (c *reader) endEntry() error {
	e, row := c.entry, c.entries
	c.entry = nil
	amount, ok := statements.Decimal(e.amount)
	if !ok {
		return statements.Refuse(row, statements.AmountNotNumber, "amount %s is no number", statements.Quote(e.amount))
	}
	l := statements.Line{
		Row: row, Amount: amount, Currency: money.Currency(e.currency), Status: c.status(row, e.status),
		Reversal: truth(e.reversal), Ref: e.servicerRef, BatchID: e.batchID, Code: e.code(),
	}
	if l.Ref == "" {
		l.Ref = e.entryRef
	}
	// Only CdtDbtInd gives the sign. RvslInd marks a reversal and does not change the sign.
	switch e.indicator {
	case "CRDT":
		l.Kind = statements.Credit
	case "DBIT":
		l.Kind, l.Amount = statements.Debit, amount.Neg()
	default:
		return statements.Refuse(row, statements.MissingIndicator,
			"the entry is neither credit nor debit: CdtDbtInd is %s", statements.Quote(e.indicator))
	}
	l.Net = l.Amount
	if n, err := strconv.Atoi(e.batchCount); err == nil && n > 0 {
		l.BatchCount = n
	}
	c.dates(&l, e)
	if err := e.fee(&l); err != nil {
		return err
	}
	for i := range e.details {
		detail, err := e.details[i].read(l)
		if err != nil {
			return err
		}
		l.Details = append(l.Details, detail)
	}
	describe(&l, e.additional)
	if _, err := l.Money(); err != nil {
		c.file.Note(row, statements.AmountNotWhole, "amount %s %s cannot be booked in minor units", l.Amount, l.Currency)
	}
	c.st.Lines = append(c.st.Lines, l)
	return nil
}

// status reads Sts. An entry without Sts counts as booked: banks that leave the
// element out report only booked entries in a statement.
func (c *reader) status(row int, text string) statements.Status {
	switch s := statements.Status(text); s {
	case statements.Booked, statements.Pending, statements.Information, statements.Future:
		return s
	case "":
		if !c.assumed {
			c.assumed = true
			c.file.Note(row, statements.StatusAssumed, "statement %s has entries without a status: taken as booked", statements.Quote(c.st.ID))
		}
		return statements.Booked
	}
	c.file.Note(row, statements.UnknownStatus, "status %s is not known: the entry is not counted", statements.Quote(text))
	return statements.Information
}

// dates reads booking and value date. When the entry gives only a day, the time comes from its only detail.
func (c *reader) dates(l *statements.Line, e *entryText) {
	vietnam := l.Currency == money.VND
	var at instant
	var err error
	if l.BookingDate, at, err = moment(e.booked, vietnam); err != nil {
		c.file.Note(l.Row, statements.BadDate, "booking date is %s", statements.Quote(e.booked))
	}
	l.OccurredAt = at.Time
	if l.ValueDate, _, err = moment(e.valued, vietnam); err != nil {
		c.file.Note(l.Row, statements.BadDate, "value date is %s", statements.Quote(e.valued))
	}
	if len(e.details) == 1 && at.IsZero() {
		if at, err := readInstant(e.details[0].when); err == nil {
			l.OccurredAt = at.Time
		}
	}
}

// fee sums the charges that the bank kept from the entry (ChrgInclInd true).
// Amount is net of them already.
func (e *entryText) fee(l *statements.Line) error {
	for _, charge := range e.charges {
		amount, ok := statements.Decimal(charge.amount)
		if !ok {
			return statements.Refuse(l.Row, statements.AmountNotNumber, "charge %s is no number", statements.Quote(charge.amount))
		}
		if !truth(charge.included) || money.Currency(charge.currency) != l.Currency {
			continue
		}
		if charge.indicator == "CRDT" {
			amount = amount.Neg()
		}
		l.Fee = l.Fee.Add(amount)
	}
	return nil
}

// code returns the bank transaction code: domain/family/sub-family, or the
// bank's own code when the entry gives no domain.
func (e *entryText) code() string {
	if e.domain == "" {
		return e.proprietary
	}
	return e.domain + "/" + e.family + "/" + e.subFamily
}

// read turns one transaction into a detail of l.
func (d *detailText) read(l statements.Line) (statements.Detail, error) {
	out := statements.Detail{
		TransactionID: d.transaction, InstructionID: d.instruction, UETR: d.uetr, BankRef: d.ref,
		ReturnReason: d.returnReason, CreditorReferences: d.structured,
	}
	if d.endToEnd != "NOTPROVIDED" {
		out.EndToEndID = d.endToEnd
	}
	if d.amount == "" {
		d.amount, d.currency = d.transacted, d.transactedCcy
	}
	debit := d.indicator == "DBIT" || d.indicator == "" && l.Kind == statements.Debit
	var err error
	if out.Amount, err = detailAmount(l.Row, d.amount, debit); err != nil {
		return statements.Detail{}, err
	}
	if out.Instructed, err = detailAmount(l.Row, d.ordered, debit); err != nil {
		return statements.Detail{}, err
	}
	out.Currency, out.InstructedCurrency = money.Currency(d.currency), money.Currency(d.orderedCcy)
	// The other side of a credit is the debtor. A reversal keeps the roles of
	// the reversed payment.
	if (l.Kind == statements.Credit) != l.Reversal {
		out.Counterparty = d.debtor
	} else {
		out.Counterparty = d.creditor
	}
	out.Content, out.ContentJoined = strings.Join(d.unstructured, " "), strings.Join(d.unstructured, "")
	for _, other := range []string{strings.Join(d.structured, " "), d.additional} {
		if out.Content == "" {
			out.Content, out.ContentJoined = other, other
		}
	}
	return out, nil
}

func detailAmount(row int, text string, debit bool) (decimal.NullDecimal, error) {
	if text == "" {
		return decimal.NullDecimal{}, nil
	}
	amount, ok := statements.Decimal(text)
	if !ok {
		return decimal.NullDecimal{}, statements.Refuse(row, statements.AmountNotNumber,
			"amount %s of a transaction is no number", statements.Quote(text))
	}
	if debit {
		amount = amount.Neg()
	}
	return decimal.NewNullDecimal(amount), nil
}

// describe sets content and counterparty from the details. Some banks give no
// details; then the text of the entry is the content.
func describe(l *statements.Line, additional string) {
	var blank, joined []string
	for _, d := range l.Details {
		if d.Content != "" {
			blank, joined = append(blank, d.Content), append(joined, d.ContentJoined)
		}
	}
	l.Content, l.ContentJoined = strings.Join(blank, "\n"), strings.Join(joined, "\n")
	if l.Content == "" {
		l.Content, l.ContentJoined = additional, additional
	}
	if len(l.Details) == 1 {
		l.Counterparty = l.Details[0].Counterparty
	}
}

// truth reads xs:boolean.
func truth(text string) bool { return text == "true" || text == "1" }

// summary is TxsSummry, the bank's own count of a statement.
type summary struct{ count, sum, credits, creditSum, debits, debitSum string }

func (s *summary) value(path, text string) {
	switch path {
	case "TxsSummry/TtlNtries/NbOfNtries/":
		s.count = text
	case "TxsSummry/TtlNtries/Sum/":
		s.sum = text
	case "TxsSummry/TtlCdtNtries/NbOfNtries/":
		s.credits = text
	case "TxsSummry/TtlCdtNtries/Sum/":
		s.creditSum = text
	case "TxsSummry/TtlDbtNtries/NbOfNtries/":
		s.debits = text
	case "TxsSummry/TtlDbtNtries/Sum/":
		s.debitSum = text
	}
}

// check compares the summary with the entries. Some banks count all entries,
// others only the booked ones. check reports figures that fit neither count.
func (s *summary) check(f *statements.File, st *statements.Statement) {
	var all, booked tally
	for _, l := range st.Lines {
		all.add(l)
		if l.Status == statements.Booked {
			booked.add(l)
		}
	}
	if !s.fits(all) && !s.fits(booked) {
		f.Note(0, statements.SummaryMismatch,
			"statement %s: the bank's own counts or sums do not fit its %d entries", statements.Quote(st.ID), len(st.Lines))
	}
}

// tally counts entries by direction.
type tally struct {
	credits, debits     int
	creditSum, debitSum decimal.Decimal
}

func (t *tally) add(l statements.Line) {
	if l.Kind == statements.Debit {
		t.debits, t.debitSum = t.debits+1, t.debitSum.Sub(l.Amount)
	} else {
		t.credits, t.creditSum = t.credits+1, t.creditSum.Add(l.Amount)
	}
}

func (s *summary) fits(t tally) bool {
	same := func(text string, want decimal.Decimal) bool {
		if text == "" {
			return true
		}
		got, ok := statements.Decimal(text)
		return ok && got.Equal(want)
	}
	count := func(n int) decimal.Decimal { return decimal.NewFromInt(int64(n)) }
	return same(s.count, count(t.credits+t.debits)) && same(s.sum, t.creditSum.Add(t.debitSum)) &&
		same(s.credits, count(t.credits)) && same(s.creditSum, t.creditSum) &&
		same(s.debits, count(t.debits)) && same(s.debitSum, t.debitSum)
}

// instant is a time in a file, with the offset that the file gives.
type instant struct{ time.Time }

// readInstant reads xs:dateTime; without an offset it is local time of Viet Nam.
func readInstant(text string) (instant, error) {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		at, err = time.ParseInLocation("2006-01-02T15:04:05.999999999", text, calendar.HoChiMinh)
	}
	return instant{at}, err
}

// isZone reports whether s may follow xs:date: nothing, Z or an offset.
func isZone(s string) bool {
	if s == "" || s == "Z" {
		return true
	}
	_, err := time.Parse("-07:00", s)
	return err == nil
}
