package entries

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger/ledgertest"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/statements"
)

// The manual shows every entry of this package.
func TestManual(t *testing.T) {
	t.Parallel()
	today := calendar.MustParse("2024-05-02")
	src := statements.Source{Authority: "H41", Code: "vcb-h41", Currency: money.VND}
	p := NewPoster("system", src, time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC))
	const match = "mat_example"
	line := statements.LineID(uuid.New())
	item := matching.Item{ID: uuid.New(), Payment: uuid.New(), Dossier: uuid.New(), Provider: "vietqr", Amount: 250_000}
	order := matching.Item{
		Kind: matching.Transit, ID: uuid.New(), Payment: uuid.New(), Dossier: uuid.New(), Refund: uuid.New(), Amount: -80_000,
	}
	bounce := order
	bounce.Amount = 80_000
	lump := matching.Batch{Provider: "vnpay", Gross: 160_000, Fee: 880, Net: 159_120, Lines: make([]uuid.UUID, 2)}
	short := matching.Batch{Provider: "vnpay", Gross: 160_000, Fee: 880, Net: 159_000, Lines: make([]uuid.UUID, 2)}
	ledgertest.CheckManual(t, "reconcile/entries", []ledgertest.Example{
		{
			Title: "Settlement arrives",
			When:  "A credit of the bank pays a batch of settlement rows, net of the provider's fee.",
			Entry: p.PaidOut(match, lump, today),
		},
		{
			Title: "Settlement arrives, rows that do not add up",
			When:  "On some row gross less fee is not net. The missing amount waits in `A-BREAK` for a person.",
			Entry: p.PaidOut(match, short, today),
		},
		{
			Title: "Transfer confirmed",
			When: "A credit of the bank confirms a captured transfer. The capture came from a notice, " +
				"or from a repair when the notice was lost.",
			Entry: p.Transferred(match, item, today),
		},
		{
			Title: "Order carried out",
			When:  "A debit of the bank shows the payment order of a refund, or a voucher to the treasury. The money is no longer in transit.",
			Entry: p.Arrived(match, order, today),
		},
		{
			Title: "Bounced refund arrives",
			When:  "A credit of the bank shows a refund that the payer's bank sent back.",
			Entry: p.Arrived(match, bounce, today),
		},
		{
			Title: "Unidentified credit",
			When: "The book follows the bank account. A later match reverses the entry, " +
				"or a maker and a checker identify the credit as a capture.",
			Entry: p.suspended(line, 30_000, 1, today),
		},
		{
			Title: "Unidentified debit",
			When:  "Money left the bank account, for example by a charge of the bank. A person must explain the debit.",
			Entry: p.suspended(line, -15_000, 1, today),
		},
	})
}
