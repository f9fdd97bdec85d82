package statements

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	parsed "github.com/doisoat/doisoat/providers/statements"
	"github.com/doisoat/doisoat/providers/transfers"
	"github.com/doisoat/doisoat/reconcile/matching"
)

// row is a line of a file on its way into the database.
type row struct {
	id            LineID
	row           int
	key           [32]byte
	ordinal       int
	account       string
	businessDate  calendar.Date
	bookingDate   calendar.Date
	valueDate     calendar.Date
	occurredAt    *time.Time
	kind          parsed.Kind
	booked        bool
	amount        int64
	fee, vat, net int64
	currency      money.Currency
	reference     string
	transactionID string
	originalID    string
	bankRef       string
	batchID       string
	codes         []string
	text          Text
	ciphertext    []byte
}

// read turns a parsed file into a statement and its rows, without the database. It decides
// whether the file is accepted. It rejects a whole file when its own totals are wrong, or when the
// file is not of this source.
func read(src Source, file parsed.File, now time.Time) (Statement, []row) {
	st := Statement{
		Source: src.Code, Status: Accepted, Format: file.Format, Profile: file.Profile,
		Totals: []ControlTotal{}, Problems: append([]parsed.Problem{}, file.Problems...), ReceivedAt: now,
	}
	lines := 0
	for _, part := range file.Statements {
		lines += len(part.Lines)
	}
	if refuse(src, file, &st) {
		st.Status, st.RowsRefused = Rejected, lines
		return st, nil
	}
	if file.Outcome == parsed.Partial {
		st.Status = Partial
	}
	rows := make([]row, 0, lines)
	ordinals := make(map[[32]byte]int, lines)
	for _, part := range file.Statements {
		for _, l := range part.Lines {
			r, ok := rowOf(src, part, l, now)
			if !ok {
				st.RowsRefused++
				st.Status = Partial
				if l.Currency != src.Currency {
					note(&st, l.Row, ProblemForeignRow, "the row is in %s, the source in %s: not imported", l.Currency, src.Currency)
				}
				continue
			}
			ordinals[r.key]++
			r.ordinal = ordinals[r.key]
			rows = append(rows, r)
		}
	}
	if tooMuch(rows) {
		note(&st, 0, ProblemTooMuch, "the rows of the file are of more than %d together", int64(maxFileSum))
		st.Status, st.RowsRefused = Rejected, lines
		return st, nil
	}
	st.RowsAccepted = len(rows)
	return st, rows
}

// maxFileSum bounds the money of one file, in minor units. It is more than any province collects in
// years, and small enough that a sum over thousands of files fits into 64 bits. Lines are never
// deleted, so a sum beyond 64 bits would stop every later run of the authority.
const maxFileSum = 1_000_000_000_000_000

func tooMuch(rows []row) bool {
	left := uint64(maxFileSum)
	for i := range rows {
		r := &rows[i]
		for _, part := range [...]int64{r.amount, r.fee, r.vat, r.net} {
			if left < magnitude(part) {
				return true
			}
		}
		left -= magnitude(r.amount)
	}
	return false
}

func magnitude(minor int64) uint64 {
	if minor < 0 {
		return -uint64(minor) //nolint:gosec // two's complement: the magnitude, of the least number too
	}
	return uint64(minor)
}

// refuse notes every problem that rejects the whole file, and reports whether there is one. It also
// fills the control totals.
func refuse(src Source, file parsed.File, st *Statement) bool {
	if file.Outcome == parsed.Reject {
		return true
	}
	refused := false
	stop := func(code parsed.Code, format string, args ...any) {
		refused = true
		note(st, 0, code, format, args...)
	}
	want := map[string]parsed.Format{SettlementSource: parsed.Settlement, BankSource: parsed.Camt053}[src.Kind]
	if file.Format != want {
		stop(ProblemWrongFormat, "the file is %s, a %s source takes %s", file.Format, src.Kind, want)
	}
	for _, part := range file.Statements {
		if part.Currency != src.Currency {
			stop(ProblemWrongCurrency, "the file is in %s, the source in %s", part.Currency, src.Currency)
			continue
		}
		if src.Account != "" && matching.Squeeze(part.Account) != matching.Squeeze(src.Account) {
			stop(ProblemWrongAccount, "the file is of another account than the source")
		}
		total, err := totalOf(part)
		if err != nil {
			stop(parsed.AmountNotWhole, "a total of the file has more digits than %s", part.Currency)
			continue
		}
		st.Totals = append(st.Totals, total)
	}
	for _, p := range file.Problems {
		if p.Code == parsed.BalanceMismatch || p.Code == parsed.SummaryMismatch {
			refused = true // its totals contradict its rows: rows are missing or changed
		}
	}
	st.period()
	return refused
}

// period takes dates and balances of the whole file from its parts.
func (st *Statement) period() {
	for i, t := range st.Totals {
		if i == 0 || (!t.From.IsZero() && t.From.Before(st.PeriodFrom)) {
			st.PeriodFrom, st.opening = t.From, t.Opening
		}
		if i == 0 || !t.To.Before(st.PeriodTo) {
			st.PeriodTo, st.closing = t.To, t.Closing
		}
	}
}

func totalOf(part parsed.Statement) (ControlTotal, error) {
	t := ControlTotal{
		Account: part.Account, Currency: part.Currency, From: part.From, To: part.To, Entries: part.Entries, BalanceCheck: part.BalanceCheck,
	}
	for _, amount := range []struct {
		to   *int64
		from decimal.Decimal
	}{{&t.SumCredit, part.SumCredit}, {&t.SumDebit, part.SumDebit}} {
		whole, err := money.FromDecimal(part.Currency, amount.from)
		if err != nil {
			return ControlTotal{}, err
		}
		*amount.to = whole.Minor
	}
	for _, balance := range []struct {
		to   **int64
		from *parsed.Balance
	}{{&t.Opening, part.Opening}, {&t.Closing, part.Closing}} {
		if balance.from == nil || balance.from.Currency != part.Currency {
			continue
		}
		whole, err := money.FromDecimal(part.Currency, balance.from.Amount)
		if err != nil {
			return ControlTotal{}, err
		}
		*balance.to = &whole.Minor
	}
	// The opening balance may carry the date of the day before, so the dates of the rows count.
	for _, l := range part.Lines {
		if d := firstDate(l.BookingDate, l.ValueDate); !d.IsZero() {
			if part.From.IsZero() && (t.From.IsZero() || d.Before(t.From)) {
				t.From = d
			}
			if part.To.IsZero() && d.After(t.To) {
				t.To = d
			}
		}
	}
	if part.To.IsZero() && part.Closing != nil && part.Closing.Date.After(t.To) {
		t.To = part.Closing.Date
	}
	if t.From.IsZero() {
		t.From = t.To
	}
	return t, nil
}

func note(st *Statement, at int, code parsed.Code, format string, args ...any) {
	if len(st.Problems) < parsed.MaxProblems {
		st.Problems = append(st.Problems, parsed.Problem{Row: at, Code: code, Detail: fmt.Sprintf(format, args...)})
	}
}

// rowOf reads one line; ok is false for a line that cannot be booked in the source's currency.
func rowOf(src Source, part parsed.Statement, l parsed.Line, now time.Time) (row, bool) {
	if l.Currency != src.Currency {
		return row{}, false
	}
	amounts, err := l.Settled()
	if err != nil {
		return row{}, false
	}
	r := row{
		id: ident.New[lineKind](), row: l.Row, account: part.Account, bookingDate: l.BookingDate, valueDate: l.ValueDate,
		businessDate: firstDate(l.BookingDate, l.ValueDate, part.To, calendar.On(now)),
		kind:         l.Kind, booked: l.Status == parsed.Booked, currency: l.Currency,
		amount: amounts.Gross.Minor, fee: amounts.Fee.Minor, vat: amounts.FeeVAT.Minor, net: amounts.Net.Minor,
		reference: l.Reference, transactionID: l.TransactionID, originalID: l.OriginalID, bankRef: l.Ref, batchID: l.BatchID,
		codes: []string{},
		text:  Text{Content: l.Content, Name: l.Counterparty.Name, Account: l.Counterparty.Account, Bank: l.Counterparty.Bank},
	}
	if !l.OccurredAt.IsZero() {
		r.occurredAt = &l.OccurredAt
	}
	if l.ContentJoined != l.Content {
		r.text.Joined = l.ContentJoined
	}
	if src.Kind == BankSource {
		r.fee, r.vat, r.net, r.batchID = 0, 0, r.amount, "" // charges of a bank are within its amount
		r.codes = append(r.codes, transfers.References(l.Content)...)
		if len(r.codes) == 0 && r.text.Joined != "" {
			r.codes = append(r.codes, transfers.References(r.text.Joined)...)
		}
	}
	r.key = r.naturalKey(l)
	return r, true
}

// naturalKey is equal for equal rows of a source. The bank's reference counts only together with
// account, date and amount; the content counts where a row has no reference. The ordinal tells rows
// with the same key apart.
func (r row) naturalKey(l parsed.Line) [32]byte {
	content := ""
	if r.bankRef == "" && r.transactionID == "" {
		content = matching.Squeeze(l.Content)
	}
	return sha256.Sum256(fmt.Appendf(nil, "line 1\n%q %s %s %d %d %d %d %q %q %q %q %q %q %q",
		r.account, firstDate(r.bookingDate, r.valueDate), r.currency, r.amount, r.fee, r.vat, r.net, l.Status, r.kind,
		r.reference, r.transactionID, r.originalID, r.bankRef+" "+r.batchID, content))
}

// firstDate returns the first date that is one.
func firstDate(dates ...calendar.Date) calendar.Date { return cmp.Or(dates...) }
