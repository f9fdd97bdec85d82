package matching

import (
	"fmt"
	"strconv"

	"github.com/google/uuid"
)

// Bank compares the lines of a bank account with the batches that providers
// pay, with the captures of transfers into this account, and with the money in
// transit: orders out of the account and refunds that bounced back.
func Bank(in Input) Result {
	m := newMatcher(in)
	m.batchesByName()
	m.batchesByAmount()
	m.byBankReference()
	m.byOrder()
	m.byCode()
	m.leftBankLines()
	m.missingItems()
	for i, b := range m.Batches {
		if !m.batchDone[i] && !b.Held {
			net := b.Net
			m.miss(Break{
				Kind: MissingAtSource, Line: -1, Item: -1, Batch: i, Amount: net, Book: &net,
				Detail: fmt.Sprintf("batch of %d rows, no credit of the bank shows it", len(b.Lines)),
			})
		}
	}
	return m.out
}

func credit(l *Line) bool { return l.Booked && l.Amount > 0 }

func (m *matcher) payOut(line, at int, rule string, score int) bool {
	l, b := &m.Lines[line], &m.Batches[at]
	for _, id := range b.Lines {
		if m.Refused[Pair{l.ID, id}] {
			return false
		}
	}
	m.lineDone[line], m.batchDone[at] = true, true
	m.out.Matches = append(m.out.Matches, Match{
		Lane: LanePayout, Rule: rule, Kind: "grouped", Score: score, Line: line, Item: -1, Batch: at, Inputs: map[string]string{
			"batch_id": b.ID, "provider": b.Provider, "rows": strconv.Itoa(len(b.Lines)), "gross": strconv.FormatInt(b.Gross, 10),
			"fee": strconv.FormatInt(b.Fee, 10), "net": strconv.FormatInt(b.Net, 10),
		},
	})
	return true
}

// batchesByName matches a credit with the one batch that its content names and
// that has exactly its net.
func (m *matcher) batchesByName() {
	for i := range m.Lines {
		l := &m.Lines[i]
		if !credit(l) {
			continue
		}
		var exact []int
		for _, key := range l.Batches {
			if at := m.batchAt[key]; !m.batchDone[at] && m.Batches[at].Net == l.Amount {
				exact = append(exact, at)
			}
		}
		if len(exact) == 1 {
			m.payOut(i, exact[0], ruleBatch, ScoreCertain)
		}
	}
}

// batchesByAmount matches a credit that names a provider and no batch, where
// one such credit and one batch of the provider have exactly the same net.
func (m *matcher) batchesByAmount() {
	type lump struct {
		provider string
		net      int64
	}
	batches := groups(m.Batches, func(i int, b *Batch) (lump, bool) { return lump{b.Provider, b.Net}, !m.batchDone[i] && b.Net > 0 })
	lines := groups(m.Lines, func(i int, l *Line) (lump, bool) {
		if m.lineDone[i] || !credit(l) || len(l.Batches) > 0 || len(l.Providers) != 1 {
			return lump{}, false
		}
		return lump{l.Providers[0], l.Amount}, true
	})
	for i := range m.Lines {
		l := &m.Lines[i]
		if m.lineDone[i] || len(l.Providers) != 1 {
			continue
		}
		key := lump{l.Providers[0], l.Amount}
		if one := lines[key]; len(one) == 1 && one[0] == i && len(batches[key]) == 1 {
			m.payOut(i, batches[key][0], ruleProviderAmount, scoreLikely)
		}
	}
}

type refAmount struct {
	ref    string
	amount int64
}

// byBankReference matches where one credit and one capture share the bank's reference and the amount.
func (m *matcher) byBankReference() {
	captures := groups(m.Items, func(i int, v *Item) (refAmount, bool) {
		return refAmount{v.BankReference, v.Amount}, v.BankReference != "" && !m.itemDone[i]
	})
	lines := groups(m.Lines, func(i int, l *Line) (refAmount, bool) {
		return refAmount{l.BankRef, l.Amount}, credit(l) && l.BankRef != "" && !m.lineDone[i]
	})
	for i := range m.Lines {
		l := &m.Lines[i]
		key := refAmount{l.BankRef, l.Amount}
		if one := lines[key]; len(one) == 1 && one[0] == i && len(captures[key]) == 1 {
			m.pairUp(i, captures[key][0], LaneTransfer, ruleBankReference, "exact", ScoreCertain, map[string]string{
				"bank_reference": l.BankRef, "amount": strconv.FormatInt(l.Amount, 10),
			})
		}
	}
}

// code returns the payment that the content of a line names by our reference.
// Several is true, and the payment empty, when the content names more than one.
func (m *matcher) code(l *Line) (reference string, pay Payment, several bool) {
	for _, c := range l.Codes {
		p, known := m.Payments[c]
		if !known {
			continue
		}
		if reference != "" {
			return "", Payment{}, true
		}
		reference, pay = c, p
	}
	return reference, pay, false
}

// byCode matches where one credit and one capture share our reference and the amount.
func (m *matcher) byCode() {
	captures := groups(m.Items, func(i int, v *Item) (refAmount, bool) {
		return refAmount{v.Reference, v.Amount}, v.Reference != "" && !m.itemDone[i]
	})
	lines := groups(m.Lines, func(i int, l *Line) (refAmount, bool) {
		ref, _, _ := m.code(l)
		return refAmount{ref, l.Amount}, credit(l) && ref != "" && !m.lineDone[i]
	})
	for i := range m.Lines {
		l := &m.Lines[i]
		if m.lineDone[i] {
			continue
		}
		ref, _, _ := m.code(l)
		key := refAmount{ref, l.Amount}
		if one := lines[key]; len(one) == 1 && one[0] == i && len(captures[key]) == 1 {
			m.pairUp(i, captures[key][0], LaneTransfer, ruleReference, "rule", scoreLikely, map[string]string{
				"reference": ref, "amount": strconv.FormatInt(l.Amount, 10), "bank_reference": l.BankRef,
			})
		}
	}
}

// leftBankLines records a break for every booked line without a match.
func (m *matcher) leftBankLines() {
	captures := groups(m.Items, func(_ int, v *Item) (string, bool) { return v.Reference, v.Reference != "" })
	for i := range m.Lines {
		l := &m.Lines[i]
		if m.lineDone[i] || !l.Booked {
			continue
		}
		ref, pay, several := m.code(l)
		mine := captures[ref]
		open := m.openItems(mine)
		switch {
		case (l.Amount < 0 || ref == "" && len(l.Batches) == 0) && m.leftOrder(i):
		case l.Amount < 0:
			m.lineBreak(i, Unidentified, uuid.Nil, "money left the account, nothing in the book explains it")
		case len(l.Batches) == 1:
			m.leftPayout(i, m.batchAt[l.Batches[0]])
		case len(l.Batches) > 1:
			m.lineBreak(i, Unidentified, uuid.Nil, "the content names several batches")
		case several:
			m.lineBreak(i, Unidentified, uuid.Nil, "the content names several payments")
		case ref == "":
			m.lineBreak(i, Unidentified, uuid.Nil, "nothing in the content names a payment or a batch")
		case len(open) == 1 && m.Items[open[0]].Amount != l.Amount:
			m.mismatch(i, open[0], "same reference, different amount")
		case len(open) > 0:
			m.lineBreak(i, MissingInBook, pay.ID, "several captures or credits share this reference: a person decides")
		case len(mine) > 0:
			m.lineBreak(i, DuplicateLine, pay.ID, "money came again for a payment whose capture is matched")
		case pay.Amount != l.Amount:
			m.transferOfOtherAmount(i, pay)
		default:
			if l.BankRef != "" { // without the bank's reference a late notice would count twice
				m.out.Repairs = append(m.out.Repairs, RepairRequest{i, pay.ID})
			}
			m.lineBreak(i, MissingInBook, pay.ID, "the bank shows a transfer for a payment that has no capture")
		}
	}
}

// leftPayout records the break of an unmatched credit that names one batch.
func (m *matcher) leftPayout(line, at int) {
	b, amount := &m.Batches[at], m.Lines[line].Amount
	if m.batchDone[at] {
		m.lineBreak(line, DuplicateLine, uuid.Nil, "a further credit for a batch that is matched")
		return
	}
	if b.Net == amount { // without a revocation the two would be matched
		m.lineBreak(line, Unidentified, uuid.Nil, "its match with the batch that it names was revoked")
		return
	}
	if b.Held {
		m.lineBreak(line, AmountMismatch, uuid.Nil, "the batch, listed at another account, has another net than the credit that names it")
		return
	}
	m.batchDone[at] = true
	net := b.Net
	m.miss(Break{
		Kind: AmountMismatch, Line: line, Item: -1, Batch: at, Amount: amount - net, Source: &amount, Book: &net,
		Detail: fmt.Sprintf("the batch of %d rows has another net than the credit that names it", len(b.Lines)),
	})
}

func (m *matcher) transferOfOtherAmount(line int, pay Payment) {
	amount, asked := m.Lines[line].Amount, pay.Amount
	m.miss(Break{
		Kind: AmountMismatch, Line: line, Item: -1, Batch: -1, Payment: pay.ID, Amount: amount - asked, Source: &amount, Book: &asked,
		Detail: "the transfer names a payment without a capture and has another amount than was asked for",
	})
}
