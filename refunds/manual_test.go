package refunds

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/ledgertest"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/remittance"
)

// The manual shows every entry of this room.
func TestManual(t *testing.T) {
	t.Parallel()
	day, now := calendar.MustParse("2026-11-20"), time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	dossier := dossiers.ID(uuid.New())
	charges := []dossiers.Charge{
		{ID: dossiers.ChargeID(uuid.New()), DossierID: dossier, Kind: schedule.Phi, FeeType: "P_CONG_BO_DN", Currency: money.VND},
		{ID: dossiers.ChargeID(uuid.New()), DossierID: dossier, Kind: schedule.LePhi, FeeType: "LP_DKKD", Currency: money.VND},
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
	for name, entry := range map[string]func() (ledger.Entry, bool){
		"approved": func() (ledger.Entry, bool) { return approved(excess, nil, day, now, "system") },
		"declined": func() (ledger.Entry, bool) { return declined(excess, none, day, now, "system") },
	} {
		if e, ok := entry(); ok {
			t.Errorf("%s excess: got %+v, want no entry: it is owed since its capture", name, e)
		}
	}
	// Of the phí the agency keeps 7/10.
	phi := remittance.Taken{Charge: charges[0].ID, Budget: 18_000, Retained: 42_000}
	lePhi := remittance.Taken{Charge: charges[1].ID, Budget: 20_000}
	takings := func(phi, lePhi remittance.Taken) []remittance.Taking {
		return []remittance.Taking{{Charge: charges[0], Shares: []remittance.Taken{phi}}, {Charge: charges[1], Shares: []remittance.Taken{lePhi}}}
	}
	remitted := func(x remittance.Taken, waiting bool) remittance.Taken {
		x.Remitted, x.Waiting = &day, waiting
		return x
	}
	byOrder, _ := refundOf(r.Items...)
	byOrder.Route = PaymentOrder
	held := []remittance.Taking{{Charge: charges[0], Held: 60_000}, {Charge: charges[1], Held: 20_000}}
	doc := BankDocument{Seq: 2, Number: "UNC-18", Account: "vcb-h41"}
	pay := func(x Refund, taken ...remittance.Taken) ledger.Entry {
		return done(x, paid, x.FundedBy(taken, "vcb-h41"), day, now, "key_accountant")
	}
	waiting := phi
	waiting.Waiting = true
	r.Route, excess.Route = ByProvider, ByProvider
	ledgertest.CheckManual(t, "refunds", []ledgertest.Example{
		{
			Title: "Refund approved before the split",
			When: "A checker approves: the money collected for the charges is owed back to the payer. " +
				"Excess is owed since its capture, so it has no entry here.",
			Entry: must(approved(r, held, day, now, "key_chief")),
		},
		{
			Title: "Refund approved after the split, before remittance",
			When:  "The budget and the agency each give back their part, by the ratio of the split.",
			Entry: must(approved(r, takings(phi, lePhi), day, now, "key_chief")),
		},
		{
			Title: "Refund approved after remittance",
			When:  "The budget has its part and must give it back. The agency gives back the part that it retained.",
			Entry: must(approved(r, takings(remitted(phi, false), remitted(lePhi, false)), day, now, "key_chief")),
		},
		{
			Title: "Refund done by the provider",
			When:  "The provider deducts the refund from the money that it owes us. The refunded part of the obligation ends.",
			Entry: pay(r),
		},
		{
			Title: "Refund of excess done",
			When:  "Excess paid no charge, so no obligation ends.",
			Entry: done(excess, none, excess.FundedBy(nil, ""), day, now, "system"),
		},
		{
			Title: "Refund paid by the agency",
			When:  "The agency pays by a payment order from its collection account.",
			Entry: pay(byOrder),
		},
		{
			Title: "Refund paid from the waiting account",
			When: "The *phí* is in the waiting account at the treasury and not yet the budget's. One payment order pays the *phí* " +
				"from there, and another one the rest from the collection account.",
			Entry: pay(byOrder, waiting),
		},
		{
			Title: "Refund paid by the treasury",
			When:  "The treasury pays the budget's part by an order C1-04/NS. The agency pays the part that it retained.",
			Entry: pay(byOrder, remitted(phi, false), remitted(lePhi, false)),
		},
		{
			Title: "Refund paid by the treasury, retained part at the waiting account",
			When: "The treasury pays the budget's part by an order C1-04/NS. The retained part is still in the waiting account " +
				"and is paid from there.",
			Entry: pay(byOrder, remitted(phi, true), remitted(lePhi, false)),
		},
		{
			Title: "Refund bounced",
			When:  "The payer's bank sends the money back. It is in transit to a collection account and owed to the payer again.",
			Entry: returned(byOrder, doc, day, now, "key_accountant"),
		},
		{
			Title: "Bounced refund paid again",
			When:  "The collection account pays a second time. The obligation already ended with the first payment.",
			Entry: paidAgain(byOrder, doc, day, now, "key_accountant"),
		},
		{
			Title: "Refund declined",
			When: "The provider declines finally. The money owed to the payer is provisional collection again. " +
				"Excess stays owed, so it has no entry here.",
			Entry: must(declined(r, paid, day, now, "system")),
		},
	})
}
