package remittance

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
	split := Split{ID: ident.New[splitKind](), Authority: "H41", Currency: money.VND, PeriodTo: calendar.MustParse("2026-10-31")}
	dossier := dossiers.ID(uuid.New())
	shares := []share{
		{
			Charge: dossiers.ChargeID(uuid.New()), Dossier: dossier, FeeType: "P_CONG_BO_DN", Kind: schedule.Phi, Amount: 60_001,
			Retention: retention{schedule.Share{Numerator: 7, Denominator: 10}, "Thông tư"},
		},
		{
			Charge: dossiers.ChargeID(uuid.New()), Dossier: dossier, FeeType: "LP_DKKD", Kind: schedule.LePhi, Amount: 20_000,
			Retention: retention{schedule.Share{Denominator: 1}, ""},
		},
	}
	for i, x := range shares {
		retained, _, err := x.Retention.divide(money.Dong(x.Amount))
		if err != nil {
			t.Fatal(err)
		}
		shares[i].Retained = retained.Minor
		split.Parts = append(
			split.Parts,
			Part{
				FeeType:  x.FeeType,
				Kind:     x.Kind,
				Charges:  1,
				Amount:   x.Amount,
				Retained: retained.Minor,
				Budget:   x.Amount - retained.Minor,
			},
		)
	}
	voucher := func(kind VoucherKind, account string, before ...VoucherKind) ledgertest.Example {
		so := split
		for _, k := range before {
			so.Vouchers = append(so.Vouchers, Voucher{Kind: k, Status: Approved})
		}
		lines, err := so.lines(kind, account)
		if err != nil {
			t.Fatal(err)
		}
		v := Voucher{ID: ident.New[voucherKind](), Authority: "H41", Kind: kind, Account: account, Number: "GNT-7", DocumentDate: day}
		return ledgertest.Example{Entry: moved(v, money.VND, lines, day, now, "key_chief")}
	}
	named := func(x ledgertest.Example, title, when string) ledgertest.Example {
		x.Title, x.When = title, when
		return x
	}
	ledgertest.CheckManual(t, "remittance", []ledgertest.Example{
		named(
			ledgertest.Example{Entry: divided(split, dossier, shares, day, now, "key_accountant")},
			"Split at the end of a period",
			"The split moves the collected money of each dossier out of provisional collection. "+
				"Of the *phí* the agency keeps the part named in the terms, here 7/10; *lệ phí* belongs wholly to the budget.",
		),
		named(
			voucher(ToWaiting, "vcb-h41"),
			"*Phí* to the treasury's waiting account",
			"A checker approves the voucher. The whole *phí* of a split leaves the collection account.",
		),
		named(
			voucher(BudgetPhi, "vcb-h41"),
			"*Phí* remitted from the bank",
			"A checker approves the voucher. The budget's part of the *phí* leaves the collection account.",
		),
		named(
			voucher(BudgetPhi, "", ToWaiting),
			"*Phí* remitted from the waiting account",
			"The *phí* of the split is in the waiting account. The budget's part is remitted from there.",
		),
		named(voucher(BudgetLePhi, "vcb-h41"), "*Lệ phí* remitted",
			"*Lệ phí* has no waiting account. The whole amount leaves the collection account."),
	})
}
