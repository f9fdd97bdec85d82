package reconcile_test

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/cases"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/statements"
)

// The bank account, as its statement shows it: orders that leave it, bounces
// that come back, and money of which nobody knows whose it is.

// modelOrder is money in transit: out of the account, or back to it when above zero.
type modelOrder struct {
	amount       int64
	number, code string // of its document; ours
}

// bankLine is a row of the account's statement.
type bankLine struct {
	date calendar.Date
	entry
}

// ordered keeps what an act sent into transit since before, so that the bank may carry it out.
func (s *sequence) ordered(before int64, number, code string) {
	if amount := s.transit - before; amount != 0 {
		s.orders = append(s.orders, modelOrder{amount, number, code})
	}
}

func (s *sequence) writeLine(amount int64, content string) {
	s.serial++
	s.bankLines = append(s.bankLines, bankLine{s.today(), entry{fmt.Sprintf("BK%08d", s.serial), amount, content}})
}

// strangersLine is a credit of somebody, or what the bank takes for itself.
func (s *sequence) strangersLine(t *rapid.T) {
	amount := rapid.Int64Range(1, 200_000).Draw(t, "amount")
	if rapid.IntRange(0, 3).Draw(t, "debit") == 0 {
		amount = -amount
	}
	s.writeLine(amount, "NOP TIEN HO SO")
}

// orderArrives carries an order out, mostly as it says and once.
func (s *sequence) orderArrives(t *rapid.T) {
	o := one(t, s.orders, "order")
	content := rapid.SampledFrom([]string{
		"TT " + o.number + " HOAN PHI", "TT " + o.number, "HOAN " + o.code, o.code, "HOAN PHI",
	}).Draw(t, "content")
	amount := o.amount
	if rapid.IntRange(0, 5).Draw(t, "another amount") == 0 {
		amount *= 2
	}
	s.writeLine(amount, content)
	if rapid.IntRange(0, 5).Draw(t, "again") != 0 {
		s.orders = slices.DeleteFunc(s.orders, func(x modelOrder) bool { return x == o })
	}
}

// withLines is the far side's statement of a day with all that it does not know of.
func (s *sequence) withLines(t *rapid.T, file []byte, date calendar.Date) []byte {
	var transfers struct {
		Balances []int64 `xml:"BkToCstmrStmt>Stmt>Bal>Amt"`
		Entries  []struct {
			Amount  int64    `xml:"Amt"`
			Ref     string   `xml:"AcctSvcrRef"`
			Content []string `xml:"NtryDtls>TxDtls>RmtInf>Ustrd"`
		} `xml:"BkToCstmrStmt>Stmt>Ntry"`
	}
	s.ok(t, xml.Unmarshal(file, &transfers))
	opening, list := transfers.Balances[0], []entry{}
	for _, e := range transfers.Entries {
		list = append(list, entry{e.Ref, e.Amount, strings.Join(e.Content, "")})
	}
	for _, l := range s.bankLines {
		if l.date.Before(date) {
			opening += l.amount
		} else if l.date == date {
			list = append(list, l.entry)
		}
	}
	closing := opening
	for _, e := range list {
		closing += e.amount
	}
	return camt(account, date, opening, closing, list...)
}

// proposeOwner says which dossier a credit on suspense pays.
func (s *sequence) proposeOwner(t *rapid.T) {
	type held struct {
		Line      statements.LineID
		Statement statements.ID
		Amount    int64
	}
	rows, err := s.db.Owner.Query(t.Context(), `
		select id, statement_id, amount from reconcile.statement_line
		where authority = $1 and suspense_entry is not null and amount > 0 order by business_date, bank_ref, id`, s.code)
	s.ok(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[held])
	s.ok(t, err)
	l, d := one(t, list, "line"), one(t, s.model.dossiers, "dossier")
	n, created, err := s.desk.ProposeIdentification(t.Context(), s.as(auth.RoleAccountant), l.Statement, l.Line, cases.IdentifyRequest{
		DossierCode: d.code, Amount: money.Dong(l.Amount), Reason: "phiếu chuyển tiền",
	})
	if s.refused(t, err, cases.ErrNotSuspended, cases.ErrIdentified) || !created {
		return
	}
	s.proposed = append(s.proposed, n)
	if rapid.Bool().Draw(t, "decide at once") {
		s.decideOwnerOf(t, n)
	}
}

func (s *sequence) decideOwner(t *rapid.T) { s.decideOwnerOf(t, one(t, s.proposed, "identification")) }

// decideOwnerOf approves or rejects; what was matched meanwhile waits for a person to reject it.
func (s *sequence) decideOwnerOf(t *rapid.T, n cases.Identification) {
	decide := s.desk.ApproveIdentification
	if rapid.IntRange(0, 3).Draw(t, "reject") == 0 {
		decide = s.desk.RejectIdentification
	}
	decided, err := decide(t.Context(), s.as(auth.RoleChiefAccountant), n.ID, "đã xem")
	if s.refused(t, err, cases.ErrNotSuspended) {
		return
	}
	s.proposed = slices.DeleteFunc(s.proposed, func(x cases.Identification) bool { return x.ID == n.ID })
	s.sync(t, s.of(n.DossierID))
	if decided.Status != cases.IdentificationApproved {
		return
	}
	c := s.model.captures[decided.Capture]
	if c == nil || c.amount != n.Amount.Minor || c.provider != payments.FromBank {
		t.Fatalf("identification %+v became capture %+v", decided, c)
	}
	s.handed[c.payment] += n.Amount.Minor
}
