package balances_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/balances"
)

func TestTrialBalance(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	s := &balances.Service{DB: b.App}
	later := captured(ngheAn, cause(2), 40_000, uuid.Nil)
	later.BusinessDate = day.AddDays(1)
	b.MustPost(captured(ngheAn, cause(1), 60_000, uuid.Nil), later)
	b.MustPost(captured(other, cause(1), 7, uuid.Nil))
	got, err := s.TrialBalance(t.Context(), reader, day)
	if err != nil {
		t.Fatal(err)
	}
	want := []balances.AccountBalance{
		{Code: "A-CLR-vnpay", Currency: "VND", Class: ledger.Asset, Normal: ledger.Debit, Debits: 60_000},
		{Code: "L-TAMTHU-LEPHI", Currency: "VND", Class: ledger.Liability, Normal: ledger.Credit, Credits: 60_000},
		{Code: "M-COLLECTED", Currency: "VND", Class: ledger.Memo, Normal: ledger.Debit, Debits: 60_000},
		{Code: "M-RECEIVABLE", Currency: "VND", Class: ledger.Memo, Normal: ledger.Debit, Credits: 60_000},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("trial balance (-got +want):\n%s", diff)
	}
	balances := make([]int64, len(got))
	for i, a := range got {
		balances[i] = a.Balance()
	}
	if diff := cmp.Diff(balances, []int64{60_000, 60_000, 60_000, -60_000}); diff != "" {
		t.Errorf("balances (-got +want):\n%s", diff)
	}
	if got, err = s.TrialBalance(t.Context(), reader, day.AddDays(1)); err != nil || got[0].Debits != 100_000 {
		t.Errorf("a day later: got %+v, %v, want debits of 100000", got, err)
	}
	if got, err = s.TrialBalance(t.Context(), reader, day.AddDays(-1)); err != nil || len(got) != 4 || got[0].Debits != 0 {
		t.Errorf("a day earlier: got %+v, %v, want accounts without movements", got, err)
	}
	if _, err := s.TrialBalance(
		t.Context(),
		auth.Actor{Authority: ngheAn, Role: auth.RolePortal, ID: "key_p"},
		day,
	); !errors.Is(
		err,
		auth.ErrForbidden,
	) {
		t.Errorf("portal: got %v, want ErrForbidden", err)
	}
}

func TestFindEntryOfAnother(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	s := &balances.Service{DB: b.App}
	id := b.MustPost(captured(other, cause(1), 7, uuid.Nil))[0]
	if _, err := s.FindEntry(t.Context(), reader, id); !errors.Is(err, ledger.ErrEntryNotFound) {
		t.Errorf("got %v, want ErrEntryNotFound", err)
	}
	if _, err := s.FindEntry(t.Context(), auth.Actor{Authority: other, Role: auth.RoleAuditor, ID: "key_a"}, id); err != nil {
		t.Errorf("its own: %v", err)
	}
}

// A statement shows what is about the dossier, and balances that grow line by line.
func TestDossierStatement(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	dossier, neighbour := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	about, them := ledger.Dimensions{Dossier: dossier}, ledger.Dimensions{Dossier: neighbour}
	assessed := ledger.Entry{
		Authority:    ngheAn,
		BusinessDate: day,
		RecordedAt:   now,
		Actor:        "system",
		Cause:        ledger.Cause{Kind: "assessment", ID: "1", Event: "assessed"},
		Postings: []ledger.Posting{
			ledger.Dr(ledger.MemoReceivable, money.Dong(100), about), ledger.Cr(ledger.MemoObligation, money.Dong(100), about),
		},
	}
	first := captured(ngheAn, cause(1), 60, dossier)
	first.RecordedAt = now.Add(1e9)
	second := captured(ngheAn, cause(2), 40, dossier)
	second.RecordedAt = now.Add(2e9)
	lump := ledger.Entry{
		Authority:    ngheAn,
		BusinessDate: day,
		RecordedAt:   now.Add(3e9),
		Actor:        "system",
		Cause:        ledger.Cause{Kind: "settlement", ID: "1", Event: "arrived"},
		Postings: []ledger.Posting{
			ledger.Dr(ledger.Bank("vcb"), money.Dong(105), ledger.Dimensions{}),
			ledger.Cr(ledger.Clearing("vnpay"), money.Dong(100), about), ledger.Cr(ledger.Clearing("vnpay"), money.Dong(5), them),
		},
	}
	b.MustPost(second, lump, assessed, captured(ngheAn, cause(3), 5, neighbour), first)
	var list []balances.RunningEntry
	err := postgres.ReadTx(t.Context(), b.App, ngheAn, func(tx pgx.Tx) (err error) {
		list, err = balances.DossierLedger(t.Context(), tx, dossier)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Cause, Account string
		Side           ledger.Side
		Amount         int64
		Running        int64
	}
	var got []row
	for _, e := range list {
		for _, l := range e.Postings {
			got = append(got, row{e.Cause.Kind, l.Account, l.Side, l.Amount.Minor, l.Running})
		}
	}
	want := []row{
		{"assessment", "M-RECEIVABLE", "D", 100, 100},
		{"assessment", "M-OBLIGATION", "C", 100, 100},
		{"capture", "A-CLR-vnpay", "D", 60, 60},
		{"capture", "L-TAMTHU-LEPHI", "C", 60, 60},
		{"capture", "M-COLLECTED", "D", 60, 60},
		{"capture", "M-RECEIVABLE", "C", 60, 40},
		{"capture", "A-CLR-vnpay", "D", 40, 100},
		{"capture", "L-TAMTHU-LEPHI", "C", 40, 100},
		{"capture", "M-COLLECTED", "D", 40, 100},
		{"capture", "M-RECEIVABLE", "C", 40, 0},
		{"settlement", "A-BANK-vcb", "D", 105, 105},
		{"settlement", "A-CLR-vnpay", "C", 100, 0},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("statement (-got +want):\n%s", diff)
	}
}

func TestListPostingsByPages(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	s := &balances.Service{DB: b.App}
	var want []string
	for n := range 25 {
		e := captured(ngheAn, cause(n), int64(n+1), uuid.Nil)
		e.BusinessDate = day.AddDays(n % 3)
		if n%5 == 0 { // the account exists in a second currency
			for i := range e.Postings {
				e.Postings[i].Amount.Currency = "USD"
			}
		}
		if n%7 == 0 { // and several times in one entry
			e.Postings = append(e.Postings, e.Postings...)
		}
		id := b.MustPost(e)[0]
		for line, p := range e.Postings {
			if p.Account == ledger.ProvisionalLePhi {
				want = append(want, e.BusinessDate.String()+" "+id.String()+" "+string(rune('0'+line+1)))
			}
		}
	}
	slices.Sort(want)
	for _, limit := range []int{1, 3, 10, 28, page.Max, 0} {
		var got []string
		for cursor, pages := "", 0; ; pages++ {
			list, next, err := s.ListPostings(
				t.Context(),
				reader,
				balances.PostingQuery{Account: ledger.ProvisionalLePhi, Cursor: cursor, Limit: limit},
			)
			if err != nil {
				t.Fatal(err)
			}
			if limit > 0 && len(list) > limit {
				t.Fatalf("page of %d lines, want at most %d", len(list), limit)
			}
			for _, l := range list {
				got = append(got, l.BusinessDate.String()+" "+l.ID.String()+" "+string(rune('0'+l.Line)))
			}
			if cursor = next; next == "" {
				break
			}
			if len(list) != limit || pages > len(want) {
				t.Fatalf("limit %d: page of %d lines has a next one", limit, len(list))
			}
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("limit %d (-got +want):\n%s", limit, diff)
		}
	}
	for _, cursor := range []string{"x", "MjAyNi0xMS0yMA", "!!!!", "MjAyNi0xMy00NSBlbnRfMDAgMQ"} {
		if _, _, err := s.ListPostings(
			t.Context(),
			reader,
			balances.PostingQuery{Account: ledger.ProvisionalLePhi, Cursor: cursor, Limit: 1},
		); !errors.Is(
			err,
			balances.ErrCursor,
		) {
			t.Errorf("cursor %q: got %v, want ErrCursor", cursor, err)
		}
	}
}
