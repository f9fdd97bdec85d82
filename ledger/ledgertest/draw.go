package ledgertest

import (
	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
)

var (
	realAccounts = []string{
		ledger.Clearing("vnpay"), ledger.Bank("vcb"), ledger.ProvisionalPhi, ledger.ProvisionalLePhi, ledger.RefundPayable,
		ledger.Suspense, ledger.Subsidy, ledger.ProviderFee,
	}
	memoAccounts = []string{ledger.MemoReceivable, ledger.MemoDiscount, ledger.MemoObligation, ledger.MemoCollected}
)

// DrawPostings draws one balanced set of postings: a total in parts on each side.
func DrawPostings(t *rapid.T) []ledger.Posting {
	accounts := realAccounts
	if rapid.Bool().Draw(t, "memo") {
		accounts = memoAccounts
	}
	currency := rapid.SampledFrom([]money.Currency{money.VND, "USD"}).Draw(t, "currency")
	total := rapid.Int64Range(10, 1e12).Draw(t, "total")
	var list []ledger.Posting
	for _, post := range []func(string, money.Amount, ledger.Dimensions) ledger.Posting{ledger.Dr, ledger.Cr} {
		left := total
		for n := rapid.IntRange(1, 4).Draw(t, "parts"); left > 0; n-- {
			part := left
			if n > 1 {
				part = rapid.Int64Range(1, left).Draw(t, "part")
			}
			list = append(
				list,
				post(rapid.SampledFrom(accounts).Draw(t, "account"), money.Amount{Currency: currency, Minor: part}, ledger.Dimensions{}),
			)
			left -= part
		}
	}
	return list
}
