package matching

import (
	"strconv"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/providers/statements"
)

// Settlement compares the rows of a provider with captures and refunds: first
// by the provider's transaction, then by our reference. Each remaining booked
// row and each due item becomes a break. A row that is not booked never matches.
// It only explains a capture that the provider does not settle yet, or at all.
func Settlement(in Input) Result {
	m := newMatcher(in)
	m.byTransaction()
	m.byReference()
	m.refunds()
	m.leftPayments()
	m.notBooked()
	m.missingItems()
	m.fees()
	return m.out
}

func isPayment(l *Line) bool { return l.Kind == statements.Payment && l.Amount > 0 }

// byTransaction reads the rows in order. The first row with the transaction and
// the amount of a capture matches the capture; further rows are duplicates. A
// transaction names its capture beyond doubt. Therefore a row with another
// amount is a break, unless a corrected row has the right amount.
func (m *matcher) byTransaction() {
	captures := groups(m.Items, func(_ int, v *Item) (string, bool) {
		return v.TransactionID, v.Kind == Capture && v.TransactionID != ""
	})
	rows := func(yield func(i int, same, open []int)) {
		for i := range m.Lines {
			l := &m.Lines[i]
			if same := captures[l.TransactionID]; !m.lineDone[i] && l.Booked && isPayment(l) && len(same) > 0 {
				yield(i, same, m.openItems(same))
			}
		}
	}
	rows(func(i int, _, open []int) { // two merchant accounts with one transaction id: the reference decides
		if l := &m.Lines[i]; len(open) == 1 && m.Items[open[0]].Amount == l.Amount {
			m.pairUp(i, open[0], LaneSettlement, ruleTransaction, "exact", ScoreCertain, map[string]string{
				"transaction_id": l.TransactionID, "amount": strconv.FormatInt(l.Amount, 10),
			})
		}
	})
	rows(func(i int, same, open []int) {
		switch {
		case len(open) == 0:
			m.lineBreak(i, DuplicateLine, m.Items[same[0]].Payment, "a further row for a transaction that has its row")
		case len(open) == 1 && m.Items[open[0]].Amount != m.Lines[i].Amount:
			m.mismatch(i, open[0], "same transaction, different amount")
		}
	})
}

// byReference matches one row and one capture that share a reference and the amount.
// It reads the rows and captures that byTransaction did not decide. A shared
// reference with another amount is a break.
func (m *matcher) byReference() {
	captures := groups(m.Items, func(i int, v *Item) (string, bool) {
		return v.Reference, v.Kind == Capture && v.Reference != "" && !m.itemDone[i]
	})
	lines := groups(m.Lines, func(i int, l *Line) (string, bool) {
		return l.Reference, l.Booked && isPayment(l) && l.Reference != "" && !m.lineDone[i]
	})
	for i := range m.Lines {
		l := &m.Lines[i]
		if m.lineDone[i] || len(lines[l.Reference]) != 1 || lines[l.Reference][0] != i || len(captures[l.Reference]) != 1 {
			continue
		}
		if item := captures[l.Reference][0]; m.Items[item].Amount == l.Amount {
			m.pairUp(i, item, LaneSettlement, ruleReference, "rule", scoreLikely, map[string]string{
				"reference": l.Reference, "amount": strconv.FormatInt(l.Amount, 10),
				"transaction_id": l.TransactionID, "book_transaction_id": m.Items[item].TransactionID,
			})
		} else {
			m.mismatch(i, item, "same reference, different amount")
		}
	}
}

// refunds matches the rows of refunds: first by the refund's transaction, then
// by the payment's transaction when only one open refund of this payment has
// exactly the row's amount.
func (m *matcher) refunds() {
	type partial struct {
		original string
		amount   int64
	}
	byOwn := groups(m.Items, func(_ int, v *Item) (string, bool) {
		return v.TransactionID, v.Kind == Refund && v.TransactionID != ""
	})
	for i := range m.Lines {
		l := &m.Lines[i]
		if same := byOwn[l.TransactionID]; l.Booked && l.Kind == statements.Refund && len(same) == 1 {
			item := same[0]
			switch {
			case m.itemDone[item]:
				m.lineBreak(i, DuplicateLine, m.Items[item].Payment, "a further row for a refund that is matched")
			case m.Items[item].Amount != l.Amount:
				m.mismatch(i, item, "same refund, different amount")
			default:
				m.pairUp(i, item, LaneRefund, ruleTransaction, "exact", ScoreCertain, map[string]string{
					"transaction_id": l.TransactionID, "amount": strconv.FormatInt(l.Amount, 10),
				})
			}
		}
	}
	byOriginal := groups(m.Items, func(i int, v *Item) (partial, bool) {
		return partial{v.Original, v.Amount}, v.Kind == Refund && v.Original != "" && !m.itemDone[i]
	})
	rows := groups(m.Lines, func(i int, l *Line) (partial, bool) {
		return partial{l.OriginalID, l.Amount}, l.Booked && l.Kind == statements.Refund && l.OriginalID != "" && !m.lineDone[i]
	})
	for i := range m.Lines {
		l := &m.Lines[i]
		if m.lineDone[i] || !l.Booked || l.Kind != statements.Refund {
			continue
		}
		key := partial{l.OriginalID, l.Amount}
		items := byOriginal[key]
		if len(items) == 1 && len(rows[key]) == 1 && m.pairUp(i, items[0], LaneRefund, ruleOriginal, "rule", scoreLikely, map[string]string{
			"original_transaction_id": l.OriginalID, "transaction_id": l.TransactionID, "amount": strconv.FormatInt(l.Amount, 10),
		}) {
			continue
		}
		m.lineBreak(i, RefundUnmatched, uuid.Nil, "the provider gave money back, no single refund of ours has this payment and amount")
	}
}

// leftPayments records a break for every booked row without a match.
func (m *matcher) leftPayments() {
	captures := groups(m.Items, func(_ int, v *Item) (string, bool) {
		return v.Reference, v.Kind == Capture && v.Reference != ""
	})
	for i := range m.Lines {
		l := &m.Lines[i]
		if m.lineDone[i] || !l.Booked {
			continue
		}
		pay, known := m.Payments[l.Reference]
		known = known && l.Reference != ""
		mine := captures[l.Reference]
		switch {
		case !isPayment(l):
			m.lineBreak(i, Unidentified, pay.ID, "an adjustment or charge-back of the provider")
		case len(mine) > 0 && len(m.openItems(mine)) == 0:
			m.lineBreak(i, DuplicateLine, m.Items[mine[0]].Payment, "money came again for a payment whose capture is matched")
		case len(mine) > 0:
			m.lineBreak(i, MissingInBook, m.Items[mine[0]].Payment, "several captures or rows share this reference: a person decides")
		case !known:
			m.lineBreak(i, Unidentified, uuid.Nil, "no payment has this reference")
		case pay.Amount != l.Amount:
			m.lineBreak(i, MissingInBook, pay.ID, "the payment has no capture and asks for another amount")
		default:
			m.out.Repairs = append(m.out.Repairs, RepairRequest{i, pay.ID})
			m.lineBreak(i, MissingInBook, pay.ID, "the provider settled a payment that has no capture")
		}
	}
}

// notBooked compares rows that the provider does not settle (pending, failed) with captures.
func (m *matcher) notBooked() {
	captures := groups(m.Items, func(_ int, v *Item) (string, bool) {
		return v.TransactionID, v.Kind == Capture && v.TransactionID != ""
	})
	for i := range m.Lines {
		l := &m.Lines[i]
		if l.Booked || l.Kind != statements.Payment {
			continue
		}
		for _, item := range m.openItems(captures[l.TransactionID]) {
			source, book := l.Amount, m.Items[item].Amount
			m.miss(Break{
				Kind: StatusMismatch, Line: i, Item: item, Batch: -1, Payment: m.Items[item].Payment, Amount: book,
				Source: &source, Book: &book, Detail: "captured in the book, the provider does not settle it yet or at all",
			})
			break
		}
	}
}

// fees records a break for every booked row, matched or not, whose net is not its gross less fee and VAT.
func (m *matcher) fees() {
	for i := range m.Lines {
		l := &m.Lines[i]
		if want := l.Amount - l.Fee - l.VAT; l.Booked && l.Net != want {
			net := l.Net
			m.miss(Break{
				Kind: FeeMismatch, Line: i, Item: -1, Batch: -1, Amount: net - want, Source: &net, Book: &want, Tells: true,
				Detail: "net is not gross - fee - VAT",
			})
		}
	}
}
