// Package matching compares the lines of a statement with the items of the book.
// It is pure: it reads no table, no clock and no random number, and gives the same
// result for any order of its input. Package reconcile calls it: Settlement for the
// rows of a provider, Bank for the lines of a bank account.
//
// Lanes: settlement row ↔ capture, settlement row ↔ refund, batch of rows ↔ bank
// credit, bank credit ↔ transfer, bank line ↔ money in transit (orders of refunds,
// vouchers, bounces).
//
// Invariants:
//   - a match needs a reference in the text, or uniqueness on both sides with an
//     exact amount; equal amount and date alone never match;
//   - a line, an item and a batch are each in at most one match;
//   - every booked line and every due item is matched, or a break holds it;
//   - a pair that a person revoked is never proposed again.
package matching

import (
	"cmp"
	"slices"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/providers/statements"
)

// Version numbers the rules. Every match keeps it; a change of the rules raises it.
const Version = 2

// BreakKind is a kind of difference. The list is closed (domain 5.1).
type BreakKind string

// The kinds.
const (
	MissingInBook   BreakKind = "missing_in_book"
	MissingAtSource BreakKind = "missing_at_source"
	AmountMismatch  BreakKind = "amount_mismatch"
	FeeMismatch     BreakKind = "fee_mismatch"
	StatusMismatch  BreakKind = "status_mismatch"
	DuplicateLine   BreakKind = "duplicate"
	Unidentified    BreakKind = "unidentified"
	RefundUnmatched BreakKind = "refund_unmatched"
	BalanceBreak    BreakKind = "balance_break"
)

// Lanes of matching.
const (
	LaneSettlement = "settlement" // settlement row ↔ capture
	LaneRefund     = "refund"     // settlement row ↔ refund
	LanePayout     = "payout"     // bank credit ↔ batch of settlement rows
	LaneTransfer   = "transfer"   // bank credit ↔ capture of a transfer
	LaneTransit    = "transit"    // bank line ↔ order that was paid, or bounce that came back
	LaneIdentified = "identified" // bank credit ↔ capture that a maker and a checker recorded for it
)

// Rules, by the members that they compare.
const (
	ruleTransaction    = "transaction_id"       // provider's transaction and exact amount
	ruleReference      = "reference"            // our reference and exact amount, single on both sides
	ruleOriginal       = "original_transaction" // payment that a refund gives back and exact amount, single
	ruleBatch          = "batch_id"             // batch named in the content, net exactly
	ruleProviderAmount = "provider_and_amount"  // provider named in the content, net exactly, single on both sides
	ruleBankReference  = "bank_reference"       // bank's reference and exact amount, single on both sides
	ruleRepaired       = "repaired"             // capture recorded by a repair because of this line
	ruleOrderCode      = "order_code"           // code of a refund or voucher in the content and exact amount, single on both sides
	ruleDocument       = "document_number"      // number of its document in the content and exact amount, single on both sides
	RuleIdentified     = "identified"           // a maker proposed the capture and a checker approved it
	ScoreCertain       = 100
	scoreLikely        = 90
)

// Line holds the members of a statement line that the matcher compares.
type Line struct {
	ID            uuid.UUID
	Date          calendar.Date
	Row           int
	Kind          statements.Kind
	Booked        bool
	Amount        int64
	Fee, VAT, Net int64
	Reference     string
	TransactionID string
	OriginalID    string
	BankRef       string
	Codes         []string   // payment references in the content
	Batches       []BatchKey // bank: batches that the content names
	Providers     []string   // bank: providers that the content names
	Orders        []string   // bank: codes and document numbers of money in transit that the content names
	Asked         bool       // a repair asked about a payment because of this line
}

// ItemKind is the kind of an Item.
type ItemKind int

// The kinds of items.
const (
	Capture ItemKind = iota
	Refund
	Transit // money on its way out of a bank account (negative), or back to it
)

// Item is a capture, a refund or money in transit, as the matcher compares it.
type Item struct {
	Kind          ItemKind
	ID            uuid.UUID // transit: the entry that sent the money
	Payment       uuid.UUID
	Refund        uuid.UUID // transit: the refund that it pays or brings back; none for a voucher
	Dossier       uuid.UUID
	Provider      string
	Date          calendar.Date
	Amount        int64 // refunds are negative
	TransactionID string
	Original      string // refund: the transaction that it gives back
	Reference     string // of the payment
	BankReference string
	Matched       bool     // in a live match already
	Due           bool     // the source should show a line for it by the run's date
	NoCallback    bool     // recorded after an inquiry or from a statement
	Codes         []string // transit: our code of the refund or voucher, squeezed
	Numbers       []string // transit: numbers of its documents, squeezed
}

// BatchKey names a batch: ids are unique within one terminal of one source.
type BatchKey struct {
	Source  uuid.UUID
	Account string
	ID      string
}

// Batch is a lump of settlement rows that a provider pays in one transfer.
type Batch struct {
	BatchKey
	Provider string
	Date     calendar.Date // of its last row
	Gross    int64
	Fee      int64 // with VAT
	Net      int64
	Lines    []uuid.UUID
	Nets     []int64 // of Lines
	Held     bool    // a run of another account lists it as missing
}

// Payment is a payment that a line names by our reference.
type Payment struct {
	ID     uuid.UUID
	Amount int64
}

// Pair names a line and an item.
type Pair struct {
	Line, Item uuid.UUID
}

// Input holds all lines and items that a run compares.
type Input struct {
	Lines    []Line
	Items    []Item
	Batches  []Batch
	Payments map[string]Payment
	Refused  map[Pair]bool // pairs whose match a person revoked: no rule matches them again
}

// Match is a match that the matcher proposes; Lines, Items and Batch index the input.
type Match struct {
	Lane, Rule string
	Kind       string
	Score      int
	Line       int
	Item       int // -1: none
	Batch      int // -1: none
	Inputs     map[string]string
}

// Break is a break that the matcher proposes; -1 stands for none.
type Break struct {
	Kind              BreakKind
	Line, Item, Batch int
	Payment           uuid.UUID
	Amount            int64
	Source, Book      *int64
	Tells             bool // the break holds no money: its line is matched, or is not booked
	Detail            string
}

// RepairRequest asks for a repair: a line names a payment that has exactly the line's amount and no capture.
type RepairRequest struct {
	Line    int
	Payment uuid.UUID
}

// Result holds everything that the matcher found.
type Result struct {
	Matches []Match
	Breaks  []Break
	Repairs []RepairRequest
}

type matcher struct {
	Input
	lineDone  []bool // matched, or its break is decided
	itemDone  []bool
	batchDone []bool
	batchAt   map[BatchKey]int
	out       Result
}

// newMatcher sorts the input, so that its order does not matter.
func newMatcher(in Input) *matcher {
	slices.SortFunc(in.Lines, func(a, b Line) int {
		return cmp.Or(a.Date.Compare(b.Date), cmp.Compare(a.Row, b.Row), slices.Compare(a.ID[:], b.ID[:]))
	})
	slices.SortFunc(in.Items, func(a, b Item) int {
		return cmp.Or(a.Date.Compare(b.Date), slices.Compare(a.ID[:], b.ID[:]))
	})
	slices.SortFunc(in.Batches, func(a, b Batch) int {
		return cmp.Or(
			a.Date.Compare(b.Date), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Account, b.Account), slices.Compare(a.Source[:], b.Source[:]),
		)
	})
	m := &matcher{
		Input: in, lineDone: make([]bool, len(in.Lines)), itemDone: make([]bool, len(in.Items)),
		batchDone: make([]bool, len(in.Batches)), batchAt: make(map[BatchKey]int, len(in.Batches)),
	}
	for i, b := range in.Batches {
		m.batchAt[b.BatchKey] = i
	}
	for i, item := range in.Items {
		m.itemDone[i] = item.Matched
	}
	return m
}

// pairUp records a match of one line and one item. It returns false, and records
// nothing, for a pair that a person revoked.
func (m *matcher) pairUp(line, item int, lane, rule, kind string, score int, inputs map[string]string) bool {
	if m.Refused[Pair{m.Lines[line].ID, m.Items[item].ID}] {
		return false
	}
	if m.Lines[line].Asked && m.Items[item].NoCallback {
		inputs["found_by"], rule = rule, ruleRepaired
		inputs["evidence"] = "settlement row and the provider's answer to an inquiry"
		if lane == LaneTransfer {
			inputs["evidence"] = "bank line and the payment reference in its content, exact amount"
		}
	}
	m.lineDone[line], m.itemDone[item] = true, true
	m.out.Matches = append(m.out.Matches, Match{
		Lane: lane, Rule: rule, Kind: kind, Score: score, Line: line, Item: item, Batch: -1, Inputs: inputs,
	})
	return true
}

// miss records a break.
func (m *matcher) miss(f Break) {
	if f.Line >= 0 && !f.Tells {
		m.lineDone[f.Line] = true
	}
	if f.Item >= 0 && !f.Tells {
		m.itemDone[f.Item] = true
	}
	m.out.Breaks = append(m.out.Breaks, f)
}

// lineBreak records a break about a line alone, with the full amount of the line.
func (m *matcher) lineBreak(line int, kind BreakKind, payment uuid.UUID, detail string) {
	amount := m.Lines[line].Amount
	m.miss(Break{Kind: kind, Line: line, Item: -1, Batch: -1, Payment: payment, Amount: amount, Source: &amount, Detail: detail})
}

// mismatch records a break about a line and an item whose amounts differ.
func (m *matcher) mismatch(line, item int, detail string) {
	source, book := m.Lines[line].Amount, m.Items[item].Amount
	m.miss(Break{
		Kind: AmountMismatch, Line: line, Item: item, Batch: -1, Payment: m.Items[item].Payment,
		Amount: source - book, Source: &source, Book: &book, Detail: detail,
	})
}

// missingItems records a break for every due item that no line matched.
func (m *matcher) missingItems() {
	for i, item := range m.Items {
		if m.itemDone[i] || !item.Due {
			continue
		}
		amount := item.Amount
		f := Break{
			Kind: MissingAtSource, Line: -1, Item: i, Batch: -1, Payment: item.Payment, Amount: amount, Book: &amount,
			Detail: "captured in the book, no line of the source shows it",
		}
		switch {
		case item.Kind == Refund:
			f.Kind, f.Detail = RefundUnmatched, "sent to the provider, no line of the source shows it"
		case item.Kind == Transit && item.Refund != uuid.Nil:
			f.Kind, f.Detail = RefundUnmatched, "paid by order, or bounced, no line of the bank shows it"
		case item.Kind == Transit:
			f.Detail = "ordered by voucher, no line of the bank shows it"
		}
		m.miss(f)
	}
}

// groups indexes positions by a key. A position for which key returns false is left out.
func groups[T any, K comparable](list []T, key func(i int, v *T) (K, bool)) map[K][]int {
	index := map[K][]int{}
	for i := range list {
		if k, ok := key(i, &list[i]); ok {
			index[k] = append(index[k], i)
		}
	}
	return index
}

// openItems returns the items of a list that have no match and no break.
func (m *matcher) openItems(list []int) []int {
	var left []int
	for _, i := range list {
		if !m.itemDone[i] {
			left = append(left, i)
		}
	}
	return left
}
