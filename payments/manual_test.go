package payments

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger/ledgertest"
)

// The manual shows every entry of this room.
func TestManual(t *testing.T) {
	t.Parallel()
	day, now := calendar.MustParse("2026-11-20"), time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	dossier := dossiers.ID(uuid.New())
	charges := []dossiers.Charge{
		{ID: dossiers.ChargeID(uuid.New()), DossierID: dossier, Kind: schedule.Phi, FeeType: "P_CONG_BO_DN", Due: 60_000, Currency: money.VND},
		{ID: dossiers.ChargeID(uuid.New()), DossierID: dossier, Kind: schedule.LePhi, FeeType: "LP_DKKD", Due: 20_000, Currency: money.VND},
	}
	example := func(title, when, provider string, amount int64, open []dossiers.Charge) ledgertest.Example {
		c := Capture{
			ID: ident.New[captureKind](), PaymentID: ident.New[paymentKind](), DossierID: dossier, Provider: provider,
			Amount: money.Dong(amount), Evidence: ByCallback,
		}
		paid := allocate(&c, open)
		return ledgertest.Example{Title: title, When: when, Entry: captured("H41", c, paid, day, now, "system")}
	}
	identified := Capture{
		ID:        ident.New[captureKind](),
		PaymentID: ident.New[paymentKind](),
		DossierID: dossier,
		Provider:  FromBank,
		Amount:    money.Dong(85_000),
		Evidence:  ByPersons,
	}
	paid := allocate(&identified, charges)
	ledgertest.CheckManual(t, "payments", []ledgertest.Example{
		example(
			"Captured",
			"A provider confirms that it has taken the payer's money. The money pays the open charges in their order.",
			"vnpay",
			80_000,
			charges,
		),
		example(
			"Captured, too little",
			"A transfer below the requested amount pays the open charges in their order. The rest stays due.",
			"vietqr",
			70_000,
			charges,
		),
		example(
			"Captured, too much",
			"The excess over the open charges is owed back to the payer at once. It never becomes collection.",
			"vietqr",
			85_000,
			charges,
		),
		example(
			"Captured twice, or after another payment has paid",
			"No charge is open. The whole capture is owed back to the payer.",
			"vnpay",
			80_000,
			nil,
		),
		{
			Title: "Identified later",
			When: "A maker and a checker name the dossier of a suspended credit of the bank. The credit pays the open charges, " +
				"and the excess is owed back to the payer.",
			Entry: captured("H41", identified, paid, day, now, "key_checker"),
		},
	})
}
