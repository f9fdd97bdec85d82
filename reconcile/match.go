package reconcile

import (
	"cmp"
	"slices"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers/statements"
	"github.com/doisoat/doisoat/refunds"
)

// This file and its neighbours match_settlement.go, match_bank.go and
// match_transit.go are the matcher. It is pure: the same lines and items give the same outcome, in
// whatever order they come.

// version of the rules; it is kept with every match and changes with them.
const version = 2

// Lanes of matching.
const (
	laneSettlement = "settlement" // settlement row ↔ capture
	laneRefund     = "refund"     // settlement row ↔ refund
	lanePayout     = "payout"     // bank credit ↔ batch of settlement rows
	laneTransfer   = "transfer"   // bank credit ↔ capture of a transfer
	laneTransit    = "transit"    // bank line ↔ order that was paid, or bounce that came back
	laneIdentified = "identified" // bank credit ↔ capture that two persons made of it
)

// Rules, by what they look at.
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
	ruleIdentified     = "identified"           // a maker and a checker say so
	scoreCertain       = 100
	scoreLikely        = 90
)

// matchLine is what the matcher sees of a statement line.
type matchLine struct {
	ID            LineID
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
	Batches       []batchKey // bank: batches that the content names
	Providers     []string   // bank: providers that the content names
	Orders        []string   // bank: codes and document numbers of money in transit that the content names
	Asked         bool       // a repair asked about a payment because of this line
}

type itemKind int

const (
	captureItem itemKind = iota
	refundItem
	transitItem // money on its way out of a bank account (negative), or back to it
)

// bookItem is what the matcher sees of a capture, a refund or money in transit.
type bookItem struct {
	Kind          itemKind
	ID            uuid.UUID // of money in transit the entry that sent it
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
	Due           bool     // a line of it should be there by the run's date
	Found         bool     // recorded because we asked, or by a statement: no callback told of it
	Codes         []string // transit: our code of the refund or voucher, squeezed
	Numbers       []string // transit: numbers of its documents, squeezed
}

// capture, refund and transit are the item's id where it is of that kind, else zero.
func (b *bookItem) capture() (id payments.CaptureID) { return idOf(b, captureItem, id) }
func (b *bookItem) refund() (id refunds.ID)          { return idOf(b, refundItem, id) }
func (b *bookItem) transit() (id ledger.EntryID)     { return idOf(b, transitItem, id) }

func idOf[ID ~[16]byte](b *bookItem, kind itemKind, none ID) ID {
	if b.Kind == kind {
		return ID(b.ID)
	}
	return none
}

// batchKey names a batch: ids are unique within one terminal of one source.
type batchKey struct {
	Source  SourceID
	Account string
	ID      string
}

// batch is a lump of settlement rows that a provider pays in one transfer.
type batch struct {
	batchKey
	Provider string
	Date     calendar.Date // of its last row
	Gross    int64
	Fee      int64 // with VAT
	Net      int64
	Lines    []LineID
	Nets     []int64 // of Lines
	Held     bool    // a run of another account lists it as missing
}

// knownPayment is a payment that a line names by our reference.
type knownPayment struct {
	ID     uuid.UUID
	Amount int64
}

type pair struct {
	Line LineID
	Item uuid.UUID
}

// input is everything that a run looks at.
type input struct {
	Lines    []matchLine
	Items    []bookItem
	Batches  []batch
	Payments map[string]knownPayment
	Refused  map[pair]bool // pairs whose match was revoked: never again by a rule
}

// found is a match that the matcher proposes; Lines, Items and Batch index the input.
type found struct {
	Lane, Rule string
	Kind       string
	Score      int
	Line       int
	Item       int // -1: none
	Batch      int // -1: none
	Inputs     map[string]string
}

// finding is a break that the matcher proposes; -1 stands for none.
type finding struct {
	Kind              BreakKind
	Line, Item, Batch int
	Payment           uuid.UUID
	Amount            int64
	Source, Book      *int64
	Tells             bool // it holds no money: the line is matched, or it is not booked
	Detail            string
}

// wish asks for a repair: a line names a payment of exactly its amount that has no capture.
type wish struct {
	Line    int
	Payment uuid.UUID
}

// outcome is what the matcher found.
type outcome struct {
	Matches  []found
	Findings []finding
	Wishes   []wish
}

type matcher struct {
	input
	lineDone  []bool // matched, or its break is decided
	itemDone  []bool
	batchDone []bool
	batchAt   map[batchKey]int
	out       outcome
}

// newMatcher sorts the input, so that its order does not matter.
func newMatcher(in input) *matcher {
	slices.SortFunc(in.Lines, func(a, b matchLine) int {
		return cmp.Or(a.Date.Compare(b.Date), cmp.Compare(a.Row, b.Row), slices.Compare(a.ID[:], b.ID[:]))
	})
	slices.SortFunc(in.Items, func(a, b bookItem) int {
		return cmp.Or(a.Date.Compare(b.Date), slices.Compare(a.ID[:], b.ID[:]))
	})
	slices.SortFunc(in.Batches, func(a, b batch) int {
		return cmp.Or(a.Date.Compare(b.Date), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Account, b.Account), slices.Compare(a.Source[:], b.Source[:]))
	})
	m := &matcher{
		input: in, lineDone: make([]bool, len(in.Lines)), itemDone: make([]bool, len(in.Items)),
		batchDone: make([]bool, len(in.Batches)), batchAt: make(map[batchKey]int, len(in.Batches)),
	}
	for i, b := range in.Batches {
		m.batchAt[b.batchKey] = i
	}
	for i, item := range in.Items {
		m.itemDone[i] = item.Matched
	}
	return m
}

// pairUp records a match of one line and one item, unless a person revoked that very pair.
func (m *matcher) pairUp(line, item int, lane, rule, kind string, score int, inputs map[string]string) bool {
	if m.Refused[pair{m.Lines[line].ID, m.Items[item].ID}] {
		return false
	}
	if m.Lines[line].Asked && m.Items[item].Found {
		inputs["found_by"], rule = rule, ruleRepaired
		inputs["evidence"] = "settlement row and the provider's answer to an inquiry"
		if lane == laneTransfer {
			inputs["evidence"] = "bank line and the payment reference in its content, exact amount"
		}
	}
	m.lineDone[line], m.itemDone[item] = true, true
	m.out.Matches = append(m.out.Matches, found{
		Lane: lane, Rule: rule, Kind: kind, Score: score, Line: line, Item: item, Batch: -1, Inputs: inputs,
	})
	return true
}

// miss records a break.
func (m *matcher) miss(f finding) {
	if f.Line >= 0 && !f.Tells {
		m.lineDone[f.Line] = true
	}
	if f.Item >= 0 && !f.Tells {
		m.itemDone[f.Item] = true
	}
	m.out.Findings = append(m.out.Findings, f)
}

// lineBreak is a break about a line alone, with the whole line's money.
func (m *matcher) lineBreak(line int, kind BreakKind, payment uuid.UUID, detail string) {
	amount := m.Lines[line].Amount
	m.miss(finding{Kind: kind, Line: line, Item: -1, Batch: -1, Payment: payment, Amount: amount, Source: &amount, Detail: detail})
}

// mismatch is a break about a line and an item whose amounts differ.
func (m *matcher) mismatch(line, item int, detail string) {
	source, book := m.Lines[line].Amount, m.Items[item].Amount
	m.miss(finding{
		Kind: AmountMismatch, Line: line, Item: item, Batch: -1, Payment: m.Items[item].Payment,
		Amount: source - book, Source: &source, Book: &book, Detail: detail,
	})
}

// missingItems lists what is due and was not found.
func (m *matcher) missingItems() {
	for i, item := range m.Items {
		if m.itemDone[i] || !item.Due {
			continue
		}
		amount := item.Amount
		f := finding{
			Kind: MissingAtSource, Line: -1, Item: i, Batch: -1, Payment: item.Payment, Amount: amount, Book: &amount,
			Detail: "captured in the book, no line of the source shows it",
		}
		switch {
		case item.Kind == refundItem:
			f.Kind, f.Detail = RefundUnmatched, "sent to the provider, no line of the source shows it"
		case item.Kind == transitItem && item.Refund != uuid.Nil:
			f.Kind, f.Detail = RefundUnmatched, "paid by order, or bounced, no line of the bank shows it"
		case item.Kind == transitItem:
			f.Detail = "ordered by voucher, no line of the bank shows it"
		}
		m.miss(f)
	}
}

// groups indexes positions by a key; empty keys never match anything.
func groups[T any, K comparable](list []T, key func(i int, v *T) (K, bool)) map[K][]int {
	index := map[K][]int{}
	for i := range list {
		if k, ok := key(i, &list[i]); ok {
			index[k] = append(index[k], i)
		}
	}
	return index
}

// openItems keeps the items of a list that are still to be matched.
func (m *matcher) openItems(list []int) []int {
	var left []int
	for _, i := range list {
		if !m.itemDone[i] {
			left = append(left, i)
		}
	}
	return left
}
