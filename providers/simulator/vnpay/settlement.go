package vnpay

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
)

// settlementRow is one line of VNPAY's file of a day. It never changes.
type settlementRow struct {
	Terminal    string        `json:"terminal"`
	Day         calendar.Date `json:"day"`
	Batch       string        `json:"batch"`
	Kind        string        `json:"kind"` // PAYMENT or REFUND
	Reference   string        `json:"reference"`
	Transaction int64         `json:"transaction"`
	BankNumber  string        `json:"bank_number"`
	Original    int64         `json:"original,omitempty"` // the payment's number, for a refund
	Amount      int64         `json:"amount"`
	Fee         int64         `json:"fee"`
	VAT         int64         `json:"vat"`
	Net         int64         `json:"net"` // negative for a refund
	At          time.Time     `json:"at"`
}

// batch is one transfer of VNPAY's payout. A batch takes rows of its day until a
// script reads a bank statement of the day or of a later one. A batch whose net
// is zero or less stays open, because a bank transfers only amounts above zero.
type batch struct {
	ID       string        `json:"id"`
	Terminal string        `json:"terminal"`
	Day      calendar.Date `json:"day"`
	Net      int64         `json:"net"`
	Paid     bool          `json:"paid"`
}

// settlePayment adds the row of a paid payment; the caller holds the lock.
func (v *Side) settlePayment(p *payment) {
	fee := share(p.Amount, v.options.Fee.BasisPoints, 10_000)
	vat := share(fee, v.options.Fee.VATPercent, 100)
	v.settle(&settlementRow{
		Terminal: p.Terminal, Kind: "PAYMENT", Reference: p.Reference, Transaction: p.Transaction,
		BankNumber: bankTransaction(p), Amount: p.Amount, Fee: fee, VAT: vat, Net: p.Amount - fee - vat, At: p.PaidAt,
	})
}

// share returns the part of an amount, rounded half up per row as in settlement files.
func share(amount, numerator, denominator int64) int64 {
	part, err := money.Dong(amount).Share(numerator, denominator, 1, money.HalfUp)
	if err != nil {
		panic(err) // cannot happen: amounts have at most 13 digits, rates are constants
	}
	return part.Minor
}

// finishRefunds ends the due refunds. It adds the rows of the done refunds, in
// order of their times; the caller holds the lock.
func (v *Side) finishRefunds() {
	now := v.core.Now()
	var due []*refund
	for _, f := range v.state.Refunds {
		if f.Status == statusRefunding && !f.DoneAt.After(now) {
			due = append(due, f)
		}
	}
	slices.SortStableFunc(due, func(a, b *refund) int { return a.DoneAt.Compare(b.DoneAt) })
	for _, f := range due {
		v.core.Changed()
		if f.Refused {
			f.Status = statusRefundLost
			continue
		}
		f.Status = statusRefunded
		p := v.payments[paymentKey(f.Terminal, f.Reference)]
		v.settle(&settlementRow{
			Terminal: f.Terminal, Kind: "REFUND", Reference: f.Reference, Transaction: f.Transaction,
			BankNumber: fmt.Sprintf("VNP%d", f.Transaction), Original: p.Transaction,
			Amount: f.Amount, Net: -f.Amount, At: f.DoneAt,
		})
	}
}

// settle puts a row into the open batch of its day.
func (v *Side) settle(row *settlementRow) {
	row.Day = calendar.On(row.At)
	open, count := (*batch)(nil), 0
	for _, b := range v.state.Batches {
		if b.Terminal == row.Terminal && b.Day == row.Day {
			count++
			if !b.Paid {
				open = b
			}
		}
	}
	if open == nil {
		open = &batch{
			ID:       fmt.Sprintf("VNP%04d%02d%02d-%02d", row.Day.Year, row.Day.Month, row.Day.Day, count+1),
			Terminal: row.Terminal, Day: row.Day,
		}
		v.state.Batches = append(v.state.Batches, open)
	}
	open.Net += row.Net
	row.Batch = open.ID
	v.state.Rows = append(v.state.Rows, row)
	v.core.Changed()
}

// PayOut transfers the open batches up to and including day into account, each
// booked on its own day; the caller holds the lock.
func (v *Side) PayOut(account string, day calendar.Date) {
	var due []*batch
	for _, b := range v.state.Batches {
		if !b.Paid && b.Net > 0 && !b.Day.After(day) && v.payoutAccount(b.Terminal) == account {
			due = append(due, b)
		}
	}
	slices.SortStableFunc(due, func(a, b *batch) int {
		return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Terminal, b.Terminal))
	})
	for _, b := range due {
		b.Paid = true
		at := v.core.Now()
		if calendar.On(at) != b.Day {
			at = b.Day.Start().Add(24*time.Hour - time.Second)
		}
		v.bank.Book(account, b.Net, "VNPAY THANH TOAN DOT "+b.ID+" TMN "+b.Terminal, at)
	}
}

// payoutAccount returns the account of a terminal's payouts, "" when there is none.
func (v *Side) payoutAccount(terminal string) string {
	m := v.merchants[terminal]
	switch {
	case m == nil:
		return ""
	case m.payout != "":
		return m.payout
	}
	return v.bank.First()
}

var settlementHeader = []string{
	"Mã website (terminal)", "Mã tham chiếu", "Mã giao dịch VNPAY", "Mã giao dịch ngân hàng", "Loại",
	"Mã giao dịch gốc", "Số tiền", "Phí", "VAT phí", "Thực nhận", "Trạng thái", "Thời gian", "Mã đợt",
}

// settlementFile prints the rows of a day in their order of arrival. Equal rows
// give equal bytes. The caller holds the lock.
func (v *Side) settlementFile(terminal string, day calendar.Date) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("\uFEFF")
	file := csv.NewWriter(&b)
	if err := file.Write(settlementHeader); err != nil {
		return nil, err
	}
	for _, row := range v.state.Rows {
		if row.Terminal != terminal || row.Day != day {
			continue
		}
		original := ""
		if row.Original != 0 {
			original = strconv.FormatInt(row.Original, 10)
		}
		if err := file.Write([]string{
			row.Terminal, row.Reference, strconv.FormatInt(row.Transaction, 10), row.BankNumber, row.Kind, original,
			strconv.FormatInt(row.Amount, 10), strconv.FormatInt(row.Fee, 10), strconv.FormatInt(row.VAT, 10),
			strconv.FormatInt(row.Net, 10), "SETTLED", row.At.In(calendar.HoChiMinh).Format("02/01/2006 15:04:05"), row.Batch,
		}); err != nil {
			return nil, err
		}
	}
	file.Flush()
	return b.Bytes(), file.Error()
}
