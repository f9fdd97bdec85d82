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
	order := matching.Item{Kind: matching.Transit, ID: uuid.New(), Payment: uuid.New(), Dossier: uuid.New(), Refund: uuid.New(), Amount: -80_000}
	bounce := order
	bounce.Amount = 80_000
	lump := matching.Batch{Provider: "vnpay", Gross: 160_000, Fee: 880, Net: 159_120, Lines: make([]uuid.UUID, 2)}
	short := matching.Batch{Provider: "vnpay", Gross: 160_000, Fee: 880, Net: 159_000, Lines: make([]uuid.UUID, 2)}
	ledgertest.CheckManual(t, "reconcile/entries", []ledgertest.Example{
		{
			Title: "Settlement arrives", When: "A credit of the bank pays a batch of settlement rows, net of the provider's fee.",
			Entry: p.PaidOut(match, lump, today),
		},
		{
			Title: "Settlement arrives, rows that do not add up", When: "Gross less fee is not net on some row: what is missing waits for a person.",
			Entry: p.PaidOut(match, short, today),
		},
		{
			Title: "Transfer confirmed", When: "A credit of the bank is a transfer that a notice told of, or that a lost notice did not.",
			Entry: p.Transferred(match, item, today),
		},
		{
			Title: "Order carried out", When: "A debit of the bank is a payment order of a refund, or a voucher to the treasury: no money is on its way any more.",
			Entry: p.Arrived(match, order, today),
		},
		{
			Title: "Bounced refund arrives", When: "A credit of the bank is a refund that the payer's bank sent back.",
			Entry: p.Arrived(match, bounce, today),
		},
		{
			Title: "Credit that nobody can identify", When: "The book follows the account; a later match reverses the entry, or two persons identify it as a capture.",
			Entry: p.suspended(line, 30_000, 1, today),
		},
		{
			Title: "Debit that nobody can identify", When: "Money left the account, for example a charge of the bank, and a person must say why.",
			Entry: p.suspended(line, -15_000, 1, today),
		},
	})
}
