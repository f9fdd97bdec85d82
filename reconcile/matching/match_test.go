package matching

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/providers/statements"
)

var today = calendar.MustParse("2024-05-02")

// lid and uid make ids that sort by number.
func lid(n int) uuid.UUID {
	var id uuid.UUID
	id[15], id[14] = byte(n), byte(n>>8)
	return id
}

func uid(n int) uuid.UUID { return lid(n) }

func paid(n int, transaction, reference string, amount int64) Line {
	return Line{
		ID: lid(n), Row: n, Date: today, Kind: statements.Payment, Booked: true, Amount: amount, Net: amount,
		TransactionID: transaction, Reference: reference,
	}
}

func back(n int, transaction, original string, amount int64) Line {
	l := paid(n, transaction, "", -amount)
	l.Kind, l.OriginalID = statements.Refund, original
	return l
}

func captureOf(n int, transaction, reference string, amount int64) Item {
	return Item{
		Kind: Capture, ID: uid(n), Payment: uid(1000 + n), Provider: "vnpay", Date: today, Amount: amount,
		TransactionID: transaction, Reference: reference, Due: true,
	}
}

func refundOf(n int, transaction, original string, amount int64) Item {
	return Item{
		Kind: Refund, ID: uid(n), Payment: uid(1000 + n), Provider: "vnpay", Date: today, Amount: -amount,
		TransactionID: transaction, Original: original, Due: true,
	}
}

func inBank(n int, ref string, amount int64, codes ...string) Line {
	return Line{
		ID: lid(n), Row: n, Date: today, Kind: statements.Credit, Booked: true, Amount: amount, Net: amount, BankRef: ref, Codes: codes,
	}
}

func lump(id string, nets ...int64) Batch {
	b := Batch{BatchKey: BatchKey{ID: id, Account: "T"}, Provider: "vnpay", Date: today, Nets: nets}
	for i, n := range nets {
		b.Lines = append(b.Lines, lid(500+i))
		b.Net += n
	}
	b.Gross = b.Net
	return b
}

func naming(l Line, batches ...Batch) Line {
	for _, b := range batches {
		l.Batches = append(l.Batches, b.BatchKey)
	}
	return l
}

// orderOf is money in transit, negative for money that left the account. It has
// the code of its refund and the numbers of its documents.
func orderOf(n int, amount int64, code string, numbers ...string) Item {
	return Item{
		Kind: Transit, ID: uid(n), Payment: uid(1000 + n), Refund: uid(2000 + n), Date: today, Amount: amount, Due: true,
		Codes: []string{code}, Numbers: numbers,
	}
}

func ordered(l Line, names ...string) Line {
	l.Orders = names
	return l
}

// words prints an outcome: "match rule line-item", "kind line-item amount", "ask line".
func words(in Input, out Result) []string {
	name := func(line, item, b int) string {
		s := ""
		if line >= 0 {
			s += fmt.Sprintf(" line%d", in.Lines[line].ID[15])
		}
		if item >= 0 {
			s += fmt.Sprintf(" item%d", in.Items[item].ID[15])
		}
		if b >= 0 {
			s += " " + in.Batches[b].ID
		}
		return s
	}
	list := []string{}
	for _, m := range out.Matches {
		list = append(list, "match "+m.Lane+" "+m.Rule+name(m.Line, m.Item, m.Batch))
	}
	for _, f := range out.Breaks {
		list = append(list, fmt.Sprintf("%s%s %d", f.Kind, name(f.Line, f.Item, f.Batch), f.Amount))
	}
	for _, w := range out.Repairs {
		list = append(list, "ask"+name(w.Line, -1, -1))
	}
	slices.Sort(list)
	return list
}

func with(l Line, change func(*Line)) Line {
	change(&l)
	return l
}

func item(i Item, change func(*Item)) Item {
	change(&i)
	return i
}

func TestMatchSettlement(t *testing.T) {
	t.Parallel()
	pay := map[string]Payment{"REF9": {uid(9), 900}}
	tests := []struct {
		name  string
		lines []Line
		items []Item
		want  []string
	}{
		{
			"by transaction",
			[]Line{paid(1, "T1", "R1", 100)},
			[]Item{captureOf(1, "T1", "R1", 100)},
			[]string{"match settlement transaction_id line1 item1"},
		},
		{
			"transaction of another amount",
			[]Line{paid(1, "T1", "R1", 90)},
			[]Item{captureOf(1, "T1", "R1", 100)},
			[]string{"amount_mismatch line1 item1 -10"},
		},
		{
			"by reference, the transactions differ",
			[]Line{paid(1, "X", "R1", 100)},
			[]Item{captureOf(1, "T1", "R1", 100)},
			[]string{"match settlement reference line1 item1"},
		},
		{
			"empty values never match",
			[]Line{paid(1, "", "", 100)},
			[]Item{captureOf(1, "T1", "R1", 100)},
			[]string{"missing_at_source item1 100", "unidentified line1 100"},
		},
		{
			"equal amount and date alone never match",
			[]Line{paid(1, "T2", "R2", 100)},
			[]Item{captureOf(1, "T1", "R1", 100)},
			[]string{"missing_at_source item1 100", "unidentified line1 100"},
		},
		{
			"row twice",
			[]Line{paid(1, "T1", "R1", 100), paid(2, "T1", "R1", 100)},
			[]Item{captureOf(1, "T1", "R1", 100)},
			[]string{"duplicate line2 100", "match settlement transaction_id line1 item1"},
		},
		{
			"row corrected by a later one",
			[]Line{paid(1, "T1", "R1", 90), paid(2, "T1", "R1", 100)},
			[]Item{captureOf(1, "T1", "R1", 100)},
			[]string{"duplicate line1 90", "match settlement transaction_id line2 item1"},
		},
		{
			"paid twice, the book knows one",
			[]Line{paid(1, "T1", "R1", 100), paid(2, "T2", "R1", 100)},
			[]Item{captureOf(1, "T1", "R1", 100)},
			[]string{"duplicate line2 100", "match settlement transaction_id line1 item1"},
		},
		{
			"one reference, two captures, two rows without their transactions",
			[]Line{paid(1, "X1", "R1", 100), paid(2, "X2", "R1", 100)},
			[]Item{captureOf(1, "T1", "R1", 100), captureOf(2, "T2", "R1", 100)},
			[]string{"missing_at_source item1 100", "missing_at_source item2 100", "missing_in_book line1 100", "missing_in_book line2 100"},
		},
		{
			"missed success asks",
			[]Line{paid(1, "T9", "REF9", 900)},
			nil,
			[]string{"ask line1", "missing_in_book line1 900"},
		},
		{
			"missed success of another amount does not ask",
			[]Line{paid(1, "T9", "REF9", 901)},
			nil,
			[]string{"missing_in_book line1 901"},
		},
		{
			"not settled by the provider",
			[]Line{with(paid(1, "T1", "R1", 100), func(l *Line) { l.Booked = false })},
			[]Item{captureOf(1, "T1", "R1", 100)},
			[]string{"status_mismatch line1 item1 100"},
		},
		{
			"failed and unknown to the book",
			[]Line{with(paid(1, "T1", "R1", 100), func(l *Line) { l.Booked = false })},
			nil,
			[]string{},
		},
		{
			"later captures are not missing yet", nil,
			[]Item{item(captureOf(1, "T1", "R1", 100), func(i *Item) { i.Due = false })},
			[]string{},
		},
		{
			"net is wrong",
			[]Line{with(paid(1, "T1", "R1", 100), func(l *Line) { l.Fee, l.VAT, l.Net = 5, 1, 93 })},
			[]Item{captureOf(1, "T1", "R1", 100)},
			[]string{"fee_mismatch line1 -1", "match settlement transaction_id line1 item1"},
		},
		{
			"charge-back",
			[]Line{with(paid(1, "T1", "R1", -100), func(l *Line) { l.Kind = statements.Chargeback })},
			[]Item{item(captureOf(1, "T1", "R1", 100), func(i *Item) { i.Matched = true })},
			[]string{"unidentified line1 -100"},
		},
		{
			"refund by its own transaction",
			[]Line{back(1, "F1", "T1", 40)},
			[]Item{refundOf(1, "F1", "T1", 40)},
			[]string{"match refund transaction_id line1 item1"},
		},
		{
			"refund by the payment and amount",
			[]Line{back(1, "F1", "T1", 40)},
			[]Item{refundOf(1, "", "T1", 40), refundOf(2, "", "T1", 60)},
			[]string{"match refund original_transaction line1 item1", "refund_unmatched item2 -60"},
		},
		{
			"two equal refunds of one payment are told apart by people",
			[]Line{back(1, "F1", "T1", 40)},
			[]Item{refundOf(1, "", "T1", 40), refundOf(2, "", "T1", 40)},
			[]string{"refund_unmatched item1 -40", "refund_unmatched item2 -40", "refund_unmatched line1 -40"},
		},
		{
			"refund of another amount",
			[]Line{back(1, "F1", "T1", 50)},
			[]Item{refundOf(1, "F1", "T1", 40)},
			[]string{"amount_mismatch line1 item1 -10"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := Input{Lines: tt.lines, Items: tt.items, Payments: pay}
			out := Settlement(in)
			if diff := cmp.Diff(words(in, out), tt.want); diff != "" {
				t.Errorf("outcome (-got +want):\n%s", diff)
			}
		})
	}
}

func TestMatchBank(t *testing.T) {
	t.Parallel()
	one, other := lump("B1", 60, 40), lump("B2", 30)
	transfer := func(n int, ref, code string, amount int64) Item {
		i := captureOf(n, "S"+ref, code, amount)
		i.Provider, i.BankReference = "vietqr", ref
		return i
	}
	pay := map[string]Payment{"C1": {uid(1), 100}, "C2": {uid(2), 200}}
	vnpay := func(l Line) Line { l.Providers = []string{"vnpay"}; return l }
	tests := []struct {
		name    string
		lines   []Line
		items   []Item
		batches []Batch
		want    []string
	}{
		{"batch named", []Line{naming(inBank(1, "F1", 100), one)}, nil, []Batch{one}, []string{"match payout batch_id line1 B1"}},
		{
			"batch named, other amount",
			[]Line{naming(inBank(1, "F1", 90), one)},
			nil,
			[]Batch{one},
			[]string{"amount_mismatch line1 B1 -10"},
		},
		{
			"batch paid twice",
			[]Line{naming(inBank(1, "F1", 100), one), naming(inBank(2, "F2", 100), one)},
			nil,
			[]Batch{one},
			[]string{"duplicate line2 100", "match payout batch_id line1 B1"},
		},
		{
			"the wrong amount comes first",
			[]Line{naming(inBank(1, "F1", 90), one), naming(inBank(2, "F2", 100), one)},
			nil,
			[]Batch{one},
			[]string{"duplicate line1 90", "match payout batch_id line2 B1"},
		},
		{
			"two readings of a name, one has the amount",
			[]Line{naming(inBank(1, "F1", 30), one, other)},
			nil,
			[]Batch{one, other},
			[]string{"match payout batch_id line1 B2", "missing_at_source B1 100"},
		},
		{
			"two readings of a name, none has the amount",
			[]Line{naming(inBank(1, "F1", 31), one, other)},
			nil,
			[]Batch{one, other},
			[]string{"missing_at_source B1 100", "missing_at_source B2 30", "unidentified line1 31"},
		},
		{
			"batch not named, unique",
			[]Line{vnpay(inBank(1, "F1", 100))},
			nil,
			[]Batch{one, other},
			[]string{"match payout provider_and_amount line1 B1", "missing_at_source B2 30"},
		},
		{
			"batch not named, two of that net",
			[]Line{vnpay(inBank(1, "F1", 100))},
			nil,
			[]Batch{one, lump("B3", 100)},
			[]string{"missing_at_source B1 100", "missing_at_source B3 100", "unidentified line1 100"},
		},
		{
			"batch not named, provider not named",
			[]Line{inBank(1, "F1", 100)},
			nil,
			[]Batch{one},
			[]string{"missing_at_source B1 100", "unidentified line1 100"},
		},
		{
			"by the bank's reference",
			[]Line{inBank(1, "F1", 100)},
			[]Item{transfer(1, "F1", "C1", 100)},
			nil,
			[]string{"match transfer bank_reference line1 item1"},
		},
		{
			"by our reference",
			[]Line{inBank(1, "F1", 100, "C1")},
			[]Item{transfer(1, "", "C1", 100)},
			nil,
			[]string{"match transfer reference line1 item1"},
		},
		{
			"two transfers told apart by the bank's references",
			[]Line{inBank(1, "F1", 100, "C1"), inBank(2, "F2", 100, "C1")},
			[]Item{transfer(1, "F2", "C1", 100), transfer(2, "F1", "C1", 100)},
			nil,
			[]string{"match transfer bank_reference line1 item2", "match transfer bank_reference line2 item1"},
		},
		{
			"our reference, other amount",
			[]Line{inBank(1, "F1", 90, "C1")},
			[]Item{transfer(1, "", "C1", 100)},
			nil,
			[]string{"amount_mismatch line1 item1 -10"},
		},
		{"lost notice asks", []Line{inBank(1, "F1", 100, "C1")}, nil, nil, []string{"ask line1", "missing_in_book line1 100"}},
		{"lost notice without the bank's reference", []Line{inBank(1, "", 100, "C1")}, nil, nil, []string{"missing_in_book line1 100"}},
		{"lost notice of another amount", []Line{inBank(1, "F1", 70, "C1")}, nil, nil, []string{"amount_mismatch line1 -30"}},
		{"two payments named", []Line{inBank(1, "F1", 300, "C1", "C2")}, nil, nil, []string{"unidentified line1 300"}},
		{"a code that is nobody's", []Line{inBank(1, "F1", 100, "C7")}, nil, nil, []string{"unidentified line1 100"}},
		{
			"order by its code",
			[]Line{ordered(inBank(1, "F1", -100), "R1")},
			[]Item{orderOf(1, -100, "R1", "UNC1")},
			nil,
			[]string{"match transit order_code line1 item1"},
		},
		{
			"order by its document",
			[]Line{ordered(inBank(1, "F1", -100), "UNC1")},
			[]Item{orderOf(1, -100, "R1", "UNC1")},
			nil,
			[]string{"match transit document_number line1 item1"},
		},
		{
			"amount and date alone never",
			[]Line{inBank(1, "F1", -100)},
			[]Item{orderOf(1, -100, "R1", "UNC1")},
			nil,
			[]string{"refund_unmatched item1 -100", "unidentified line1 -100"},
		},
		{
			"order of another amount",
			[]Line{ordered(inBank(1, "F1", -103), "UNC1")},
			[]Item{orderOf(1, -100, "R1", "UNC1")},
			nil,
			[]string{"amount_mismatch line1 item1 -3"},
		},
		{
			"a credit does not pay an order",
			[]Line{ordered(inBank(1, "F1", 100), "UNC1")},
			[]Item{orderOf(1, -100, "R1", "UNC1")},
			nil,
			[]string{"refund_unmatched item1 -100", "unidentified line1 100"},
		},
		{
			"one document, two orders of one amount",
			[]Line{ordered(inBank(1, "F1", -100), "UNC1")},
			[]Item{orderOf(1, -100, "R1", "UNC1"), orderOf(2, -100, "R2", "UNC1")},
			nil,
			[]string{"refund_unmatched item1 -100", "refund_unmatched item2 -100", "unidentified line1 -100"},
		},
		{
			"one document, two orders told apart by their codes",
			[]Line{ordered(inBank(1, "F1", -100), "R2", "UNC1"), ordered(inBank(2, "F2", -100), "UNC1")},
			[]Item{orderOf(1, -100, "R1", "UNC1"), orderOf(2, -100, "R2", "UNC1")},
			nil,
			[]string{"match transit document_number line2 item1", "match transit order_code line1 item2"},
		},
		{
			"two lines for one order",
			[]Line{ordered(inBank(1, "F1", -100), "UNC1"), ordered(inBank(2, "F2", -100), "UNC1")},
			[]Item{orderOf(1, -100, "R1", "UNC1")},
			nil,
			[]string{"refund_unmatched item1 -100", "unidentified line1 -100", "unidentified line2 -100"},
		},
		{
			"bounce by the order that it brings back",
			[]Line{ordered(inBank(1, "F1", 100), "UNC1")},
			[]Item{orderOf(1, -100, "R1", "UNC1"), orderOf(2, 100, "R1", "BC1", "UNC1")},
			nil,
			[]string{"match transit document_number line1 item2", "refund_unmatched item1 -100"},
		},
		{
			"voucher that the bank does not show",
			nil,
			[]Item{item(orderOf(1, -100, "V1", "GNT1"), func(i *Item) { i.Payment, i.Refund = uuid.Nil, uuid.Nil })},
			nil,
			[]string{"missing_at_source item1 -100"},
		},
		{
			"order whose line is matched",
			[]Line{ordered(inBank(1, "F1", -100), "UNC1")},
			[]Item{item(orderOf(1, -100, "R1", "UNC1"), func(i *Item) { i.Matched = true })},
			nil,
			[]string{"unidentified line1 -100"},
		},
		{"debit", []Line{inBank(1, "F1", -100, "C1")}, nil, nil, []string{"unidentified line1 -100"}},
		{"not booked", []Line{with(inBank(1, "F1", 100, "C1"), func(l *Line) { l.Booked = false })}, nil, nil, []string{}},
		{
			"transfer again for a matched capture",
			[]Line{inBank(1, "F9", 100, "C1")},
			[]Item{item(transfer(1, "F1", "C1", 100), func(i *Item) { i.Matched = true })},
			nil,
			[]string{"duplicate line1 100"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := Input{Lines: tt.lines, Items: tt.items, Batches: slices.Clone(tt.batches), Payments: pay}
			out := Bank(in)
			if diff := cmp.Diff(words(in, out), tt.want); diff != "" {
				t.Errorf("outcome (-got +want):\n%s", diff)
			}
		})
	}
}

// The matcher leaves an order whose match was revoked to a person.
func TestRevokedOrderIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	in := Input{
		Lines: []Line{ordered(inBank(1, "F1", -100), "UNC1")}, Items: []Item{orderOf(1, -100, "R1", "UNC1")},
		Refused: map[Pair]bool{{lid(1), uid(1)}: true},
	}
	got := words(in, Bank(in))
	if diff := cmp.Diff(got, []string{"refund_unmatched item1 -100", "unidentified line1 -100"}); diff != "" {
		t.Errorf("outcome (-got +want):\n%s", diff)
	}
}

func TestRevokedPairsAreNotMadeAgain(t *testing.T) {
	t.Parallel()
	in := Input{
		Lines: []Line{paid(1, "T1", "R1", 100)}, Items: []Item{captureOf(1, "T1", "R1", 100)},
		Refused: map[Pair]bool{{lid(1), uid(1)}: true},
	}
	got := words(in, Settlement(in))
	if diff := cmp.Diff(got, []string{"missing_at_source item1 100", "missing_in_book line1 100"}); diff != "" {
		t.Errorf("outcome (-got +want):\n%s", diff)
	}
}
