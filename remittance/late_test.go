package remittance_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/remittance"
)

// newLate is a treasury in which the book says more of a charge than its
// payments do, as collect makes it; only the remittance is checked.
func newLate(t *testing.T) *treasury {
	t.Helper()
	w := newTreasury(t)
	w.Unchecked = true
	t.Cleanup(func() { w.Same("breaches", w.RemitBreaches(), []string(nil)) })
	return w
}

// collect posts more collection of a charge on a date.
func (w *treasury) collect(tx pgx.Tx, c dossiers.Charge, account, cause string, minor int64, date calendar.Date) {
	w.T.Helper()
	amount := money.Dong(minor)
	_, err := ledger.Post(context.Background(), tx, ledger.Entry{
		Authority: province, BusinessDate: date, RecordedAt: w.Clock.Now(), Actor: "system", Description: "late",
		Cause:    ledger.Cause{Kind: "test", ID: cause, Event: "captured"},
		Postings: []ledger.Posting{ledger.Dr(ledger.Clearing("vnpay"), amount, c.Dimensions()), ledger.Cr(account, amount, c.Dimensions())},
	})
	w.Must(err)
}

// divides fails unless the next split is of one charge and this much, and leaves nothing for another.
func (w *treasury) divides(minor int64) {
	w.T.Helper()
	s := w.Split()
	w.Same("parts", s.Parts, []remittance.Part{{FeeType: lePhi, Kind: schedule.LePhi, Charges: 1, Amount: minor, Budget: minor}})
	w.nothing()
}

func (w *treasury) nothing() {
	w.T.Helper()
	day := w.Today()
	w.Clock.Advance(24 * time.Hour)
	_, _, err := w.Remittance.Split(w.T.Context(), accountant, remittance.SplitRequest{PeriodTo: day, Currency: "VND"})
	if !remittance.ErrNothing.Is(err) {
		w.T.Errorf("Split: got %v, want %v", err, remittance.ErrNothing)
	}
}

// The next split finds a collection on a date that is already divided, and divides it once. It does not matter whether
// the collection came after the earlier split or while it ran, nor which horizon that split kept.
func TestLateCollectionIsDividedOnce(t *testing.T) {
	t.Parallel()
	t.Run("came after it", func(t *testing.T) {
		t.Parallel()
		w := newLate(t)
		w.Paid(lePhi)
		day := w.Today()
		w.Split()
		w.nothing()
		w.In(province, func(tx pgx.Tx) error {
			w.collect(tx, w.Dossier(lePhi).Charges[0], ledger.ProvisionalLePhi, "1", 50_000, day.AddDays(-3))
			return nil
		})
		w.divides(50_000)
	})
	t.Run("was under way", func(t *testing.T) {
		t.Parallel()
		w := newLate(t)
		w.Paid(lePhi)
		tx, err := w.DB.App.Begin(t.Context())
		w.Must(err)
		defer tx.Rollback(context.WithoutCancel(t.Context()))
		_, err = tx.Exec(t.Context(), `select set_config('app.authority', $1, true)`, province)
		w.Must(err)
		w.collect(tx, w.Dossier(lePhi).Charges[0], ledger.ProvisionalLePhi, "1", 50_000, w.Today())
		w.Split()
		w.Must(tx.Commit(t.Context()))
		w.divides(50_000)
	})
	for name, change := range map[string]string{
		"of another cluster": `horizon = '4000000000', home = home + 1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLate(t)
			w.Paid(lePhi)
			day := w.Today()
			w.Split()
			_, err := w.DB.Owner.Exec(t.Context(), `
				alter table remittance.split disable trigger user;
				update remittance.split set `+change)
			w.Must(err)
			w.In(province, func(tx pgx.Tx) error {
				w.collect(tx, w.Dossier(lePhi).Charges[0], ledger.ProvisionalLePhi, "1", 50_000, day.AddDays(-3))
				return nil
			})
			w.divides(50_000)
		})
	}
}

// A split takes the collection up to its last day, also of a dossier that collected more later.
func TestCollectionOfLaterDaysWaits(t *testing.T) {
	t.Parallel()
	w := newLate(t)
	w.Paid(lePhi)
	w.Split()
	d := w.Dossier(lePhi, phi)
	tomorrow := w.Today().AddDays(1)
	w.In(province, func(tx pgx.Tx) error {
		w.collect(tx, charge(t, d, lePhi), ledger.ProvisionalLePhi, "1", 50_000, w.Today())
		w.collect(tx, charge(t, d, lePhi), ledger.ProvisionalLePhi, "2", 20_000, tomorrow)
		return nil
	})
	w.Paid(phi) // of another dossier, today
	w.In(province, func(tx pgx.Tx) error {
		w.collect(tx, charge(t, d, phi), ledger.ProvisionalPhi, "3", 30_000, tomorrow)
		return nil
	})
	s := w.Split()
	w.Same("today", s.Parts, []remittance.Part{
		{FeeType: lePhi, Kind: schedule.LePhi, Charges: 1, Amount: 50_000, Budget: 50_000},
		{FeeType: phi, Kind: schedule.Phi, Charges: 1, Amount: 100_000, Retained: 70_000, Budget: 30_000},
	})
	s = w.Split()
	w.Same("tomorrow", s.Parts, []remittance.Part{
		{FeeType: lePhi, Kind: schedule.LePhi, Charges: 1, Amount: 20_000, Budget: 20_000},
		{FeeType: phi, Kind: schedule.Phi, Charges: 1, Amount: 30_000, Retained: 21_000, Budget: 9_000},
	})
}
