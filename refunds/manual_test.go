package refunds

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/ledgertest"
	"github.com/doisoat/doisoat/payments"
)

// The manual shows every entry of this room.
func TestManual(t *testing.T) {
	t.Parallel()
	day, now := calendar.MustParse("2026-11-20"), time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	dossier := dossiers.ID(uuid.New())
	charges := []dossiers.Charge{
		{ID: dossiers.ChargeID(uuid.New()), DossierID: dossier, Kind: fees.Phi, FeeType: "P_CONG_BO_DN", Currency: money.VND},
		{ID: dossiers.ChargeID(uuid.New()), DossierID: dossier, Kind: fees.LePhi, FeeType: "LP_DKKD", Currency: money.VND},
	}
	refundOf := func(items ...Item) (Refund, []dossiers.Paid) {
		r := Refund{
			ID: ident.New[refundKind](), Authority: "H41", DossierID: dossier, PaymentID: payments.ID(uuid.New()), Provider: "vnpay",
			Reason: "COLLECTED_AGAINST_RULE", Amount: money.Dong(sum(items)), Items: items,
		}
		return r, paidOf(dossiers.Dossier{Charges: charges}, r)
	}
	must := func(e ledger.Entry, ok bool) ledger.Entry {
		if !ok {
			t.Fatal("an entry of charges: got none")
		}
		return e
	}
	r, paid := refundOf(Item{charges[0].ID, 60_000}, Item{charges[1].ID, 20_000})
	excess, none := refundOf(Item{Amount: 15_000})
	for name, entry := range map[string]func(Refund, []dossiers.Paid, calendar.Date, time.Time, string) (ledger.Entry, bool){
		"approved": approved, "declined": declined,
	} {
		if e, ok := entry(excess, none, day, now, "system"); ok {
			t.Errorf("%s excess: got %+v, want no entry: it is owed since its capture", name, e)
		}
	}
	ledgertest.CheckManual(t, "refunds", []ledgertest.Example{
		{
			Title: "Refund approved", When: "A checker decides: what was collected for charges is owed back. Excess is owed since its capture and has no entry here.",
			Entry: must(approved(r, paid, day, now, "key_chief")),
		},
		{
			Title: "Refund done", When: "The provider took the money out of what it owes us; the refunded part of the obligation ends.",
			Entry: done(r, paid, day, now, "system"),
		},
		{
			Title: "Refund of excess done", When: "No obligation ends: none was behind it.",
			Entry: done(excess, none, day, now, "system"),
		},
		{
			Title: "Refund declined", When: "The provider's final no: the mirror of the approval. Excess stays owed and has no entry here.",
			Entry: must(declined(r, paid, day, now, "system")),
		},
	})
}
