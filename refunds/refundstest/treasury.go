package refundstest

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/refunds/routes"
	"github.com/doisoat/doisoat/remittance"
	"github.com/doisoat/doisoat/statements"
)

// Bank is the code of the agency's bank account.
const Bank = "vcb-h41"

// Treasury is a world in which the agency keeps 7/10 of the phí and has a bank account.
type Treasury struct{ *World }

// NewTreasury makes a treasury. At the end of the test it also checks remittance and the book.
func NewTreasury(t *testing.T) *Treasury {
	t.Helper()
	w := &Treasury{New(t)}
	types := schedule.Catalogue().FeeTypes
	i := slices.IndexFunc(types, func(f schedule.FeeType) bool { return f.Code == Phi })
	types[i].Terms = []schedule.Terms{{
		ValidFrom: calendar.MustParse("2020-01-01"), Retained: &schedule.Share{Numerator: 7, Denominator: 10},
		LegalBasis: "Thông tư thử nghiệm",
	}}
	_, err := w.Fees.LoadFeeTypes(t.Context(), auth.Operator("BTC"), types[i:i+1])
	w.Must(err)
	source := statements.SourceRequest{Code: Bank, Kind: statements.BankSource, Account: "0011"}
	_, _, err = w.Statements.RegisterSource(t.Context(), Admin, source)
	w.Must(err)
	t.Cleanup(func() {
		if w.Unchecked {
			return
		}
		if got := w.RemitBreaches(); len(got) > 0 {
			t.Errorf("remittance.Check and ledger.Check: got %q, want no breach", got)
		}
	})
	return w
}

// RemitBreaches are the findings of remittance.Check and ledger.Check.
func (w *Treasury) RemitBreaches() (list []string) {
	w.T.Helper()
	w.In(Province, func(tx pgx.Tx) error {
		of, err := remittance.Check(context.Background(), tx)
		if err != nil {
			return err
		}
		book, err := ledger.Check(context.Background(), tx)
		list = slices.Concat(of, book)
		return err
	})
	return list
}

// Today is the date of the clock.
func (w *Treasury) Today() calendar.Date { return calendar.On(w.Clock.Now()) }

// Split divides, tomorrow, the money that came in up to today.
func (w *Treasury) Split() remittance.Split {
	w.T.Helper()
	day := w.Today()
	w.Clock.Advance(24 * time.Hour)
	s, created, err := w.Remittance.Split(w.T.Context(), Accountant, remittance.SplitRequest{PeriodTo: day, Currency: "VND"})
	w.Must(err)
	if !created {
		w.T.Fatal("Split: got an earlier split, want a new one")
	}
	return s
}

// VoucherOf asks for a voucher of today.
func (w *Treasury) VoucherOf(kind remittance.VoucherKind, account string) remittance.VoucherRequest {
	return remittance.VoucherRequest{Kind: kind, Account: account, Number: "GNT-1", DocumentDate: w.Today(), Treasury: "KBNN Nghệ An"}
}

// Propose proposes a voucher by the accountant.
func (w *Treasury) Propose(s remittance.Split, kind remittance.VoucherKind, account string) remittance.Voucher {
	w.T.Helper()
	v, _, err := w.Remittance.Propose(w.T.Context(), Accountant, s.ID, w.VoucherOf(kind, account))
	w.Must(err)
	return v
}

// Remit proposes a voucher and decides for it.
func (w *Treasury) Remit(s remittance.Split, kind remittance.VoucherKind, account string) {
	w.T.Helper()
	_, err := w.Remittance.Approve(w.T.Context(), Chief, w.Propose(s, kind, account).ID)
	w.Must(err)
}

// Order is a payment order of today.
func (w *Treasury) Order(account string) routes.Document {
	return routes.Document{Number: "UNC-18", Date: w.Today(), Account: account}
}

// Real are the balances that are not memo.
func (w *Treasury) Real() map[string]int64 {
	w.T.Helper()
	list := w.Balances()
	maps.DeleteFunc(list, func(code string, _ int64) bool { return code[0] == 'M' })
	return list
}

// Same fails unless got is want.
func (w *Treasury) Same(name string, got, want any) {
	w.T.Helper()
	if diff := cmp.Diff(got, want); diff != "" {
		w.T.Errorf("%s (-got +want):\n%s", name, diff)
	}
}
