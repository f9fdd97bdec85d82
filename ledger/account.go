package ledger

import (
	"strings"

	"github.com/doisoat/doisoat/internal/fault"
)

// Side is debit or credit.
type Side string

// The sides of a posting.
const (
	Debit  Side = "D"
	Credit Side = "C"
)

// Class groups accounts. Memo accounts are off balance.
type Class string

// The classes of accounts.
const (
	Asset     Class = "asset"
	Liability Class = "liability"
	Expense   Class = "expense"
	Memo      Class = "memo"
)

// The chart of accounts (nearest public accounts of TT 24/2024 in docs/accounting.md).
// Clearing and bank accounts are made by Clearing and Bank.
const (
	ProvisionalPhi   = "L-TAMTHU-PHI"   // tạm thu phí, per charge
	ProvisionalLePhi = "L-TAMTHU-LEPHI" // tạm thu lệ phí, per charge
	RefundPayable    = "L-REFUND"       // phải hoàn trả người nộp, per payment
	Suspense         = "L-SUSPENSE"     // tiền chờ xác định (treo)
	Subsidy          = "A-SUBSIDY"      // phải thu ngân sách cấp bù
	BreakShort       = "A-BREAK"        // chênh lệch thiếu chờ xử lý
	ProviderFee      = "E-FEE"          // phí dịch vụ thanh toán
	TreasuryWaiting  = "A-KB-PHI"       // tài khoản phí chờ nộp ngân sách tại KBNN
	TreasuryRefund   = "A-KB-HOAN"      // phải thu hoàn trả từ NSNN
	BudgetPayable    = "L-NSNN"         // phải nộp NSNN, per charge until remitted
	Retained         = "L-RETAIN"       // phí được để lại chờ ghi nhận

	MemoReceivable = "M-RECEIVABLE" // net amount a dossier still owes
	MemoDiscount   = "M-DISCOUNT"   // reductions granted, by policy
	MemoObligation = "M-OBLIGATION" // gross obligations issued
	MemoCollected  = "M-COLLECTED"  // collected against obligations
)

const (
	clearingPrefix = "A-CLR-"
	bankPrefix     = "A-BANK-"
	transitPrefix  = "A-TRANSIT-"
)

// Clearing is the account of money a provider has taken and not yet passed on.
func Clearing(provider string) string { return clearingPrefix + provider }

// Bank is a dedicated collection account, by the code of its source.
func Bank(source string) string { return bankPrefix + source }

// Transit is money ordered out of a collection account, or on its way back to it (tiền đang chuyển). The order is
// posted here. So the bank account itself moves only with the bank's own statement, and never twice.
func Transit(source string) string { return transitPrefix + source }

// Faults about accounts. ErrOutsideChart: a room posts to an account outside the chart of accounts, which is a
// programming error. ErrAccountNotFound: a caller asks about an account outside the chart.
var (
	ErrOutsideChart    = fault.New(fault.Internal, "ledger.outside_chart", "no such account in the chart of accounts")
	ErrAccountNotFound = fault.New(fault.NotFound, "ledger.unknown_account", "no such account")
)

type nature struct {
	class  Class
	normal Side
}

// chart gives class and normal side of each code. They never change: entries are hashed with them, and an account in
// the book keeps the class and side with which it was made.
var chart = map[string]nature{
	ProvisionalPhi:   {Liability, Credit},
	ProvisionalLePhi: {Liability, Credit},
	RefundPayable:    {Liability, Credit},
	Suspense:         {Liability, Credit},
	Subsidy:          {Asset, Debit},
	BreakShort:       {Asset, Debit},
	ProviderFee:      {Expense, Debit},
	TreasuryWaiting:  {Asset, Debit},
	TreasuryRefund:   {Asset, Debit},
	BudgetPayable:    {Liability, Credit},
	Retained:         {Liability, Credit},
	MemoReceivable:   {Memo, Debit},
	MemoDiscount:     {Memo, Debit},
	MemoObligation:   {Memo, Credit},
	MemoCollected:    {Memo, Debit},
}

// natureOf finds class and normal side of a code.
func natureOf(code string) (nature, error) {
	if n, ok := chart[code]; ok {
		return n, nil
	}
	for _, prefix := range []string{clearingPrefix, bankPrefix, transitPrefix} {
		if strings.HasPrefix(code, prefix) && len(code) > len(prefix) {
			return nature{Asset, Debit}, nil
		}
	}
	return nature{}, ErrOutsideChart.With("no account %q in the chart of accounts", code)
}

// KnownAccount reports whether code stands in the chart of accounts.
func KnownAccount(code string) bool {
	_, err := natureOf(code)
	return err == nil
}
