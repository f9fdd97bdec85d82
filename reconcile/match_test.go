package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/providers/statements"
)

var today = calendar.MustParse("2024-05-02")

// lid and uid make ids that sort by number.
func lid(n int) LineID {
	var id LineID
	id[15], id[14] = byte(n), byte(n>>8) //nolint:gosec // tests use small numbers
	return id
}

func uid(n int) uuid.UUID { return uuid.UUID(lid(n)) }

func paid(n int, transaction, reference string, amount int64) matchLine {
	return matchLine{
		ID: lid(n), Row: n, Date: today, Kind: statements.Payment, Booked: true, Amount: amount, Net: amount,
		TransactionID: transaction, Reference: reference,
	}
}

func back(n int, transaction, original string, amount int64) matchLine {
	l := paid(n, transaction, "", -amount)
	l.Kind, l.OriginalID = statements.Refund, original
	return l
}

func captureOf(n int, transaction, reference string, amount int64) bookItem {
	return bookItem{
		Kind: captureItem, ID: uid(n), Payment: uid(1000 + n), Provider: "vnpay", Date: today, Amount: amount,
		TransactionID: transaction, Reference: reference, Due: true,
	}
}

func refundOf(n int, transaction, original string, amount int64) bookItem {
	return bookItem{
		Kind: refundItem, ID: uid(n), Payment: uid(1000 + n), Provider: "vnpay", Date: today, Amount: -amount,
		TransactionID: transaction, Original: original, Due: true,
	}
}

func inBank(n int, ref string, amount int64, codes ...string) matchLine {
	return matchLine{ID: lid(n), Row: n, Date: today, Kind: statements.Credit, Booked: true, Amount: amount, Net: amount, BankRef: ref, Codes: codes}
}

func lump(id string, nets ...int64) batch {
	b := batch{batchKey: batchKey{ID: id, Account: "T"}, Provider: "vnpay", Date: today, Nets: nets}
	for i, n := range nets {
		b.Lines = append(b.Lines, lid(500+i))
		b.Net += n
	}
	b.Gross = b.Net
	return b
}

func naming(l matchLine, batches ...batch) matchLine {
	for _, b := range batches {
		l.Batches = append(l.Batches, b.batchKey)
	}
	return l
}

// words prints an outcome: "match rule line-item", "kind line-item amount", "ask line".
func words(in input, out outcome) []string {
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
	for _, f := range out.Findings {
		list = append(list, fmt.Sprintf("%s%s %d", f.Kind, name(f.Line, f.Item, f.Batch), f.Amount))
	}
	for _, w := range out.Wishes {
		list = append(list, "ask"+name(w.Line, -1, -1))
	}
	slices.Sort(list)
	return list
}

func with(l matchLine, change func(*matchLine)) matchLine {
	change(&l)
	return l
}

func item(i bookItem, change func(*bookItem)) bookItem {
	change(&i)
	return i
}

func TestMatchSettlement(t *testing.T) {
	t.Parallel()
	pay := map[string]knownPayment{"REF9": {uid(9), 900}}
	tests := []struct {
		name  string
		lines []matchLine
		items []bookItem
		want  []string
	}{
		{
			"by transaction", []matchLine{paid(1, "T1", "R1", 100)},
			[]bookItem{captureOf(1, "T1", "R1", 100)},
			[]string{"match settlement transaction_id line1 item1"},
		},
		{
			"transaction of another amount", []matchLine{paid(1, "T1", "R1", 90)},
			[]bookItem{captureOf(1, "T1", "R1", 100)},
			[]string{"amount_mismatch line1 item1 -10"},
		},
		{
			"by reference, the transactions differ", []matchLine{paid(1, "X", "R1", 100)},
			[]bookItem{captureOf(1, "T1", "R1", 100)},
			[]string{"match settlement reference line1 item1"},
		},
		{
			"empty values never match", []matchLine{paid(1, "", "", 100)},
			[]bookItem{captureOf(1, "T1", "R1", 100)},
			[]string{"missing_at_source item1 100", "unidentified line1 100"},
		},
		{
			"equal amount and date alone never match", []matchLine{paid(1, "T2", "R2", 100)},
			[]bookItem{captureOf(1, "T1", "R1", 100)},
			[]string{"missing_at_source item1 100", "unidentified line1 100"},
		},
		{
			"row twice", []matchLine{paid(1, "T1", "R1", 100), paid(2, "T1", "R1", 100)},
			[]bookItem{captureOf(1, "T1", "R1", 100)},
			[]string{"duplicate line2 100", "match settlement transaction_id line1 item1"},
		},
		{
			"paid twice, the book knows one", []matchLine{paid(1, "T1", "R1", 100), paid(2, "T2", "R1", 100)},
			[]bookItem{captureOf(1, "T1", "R1", 100)},
			[]string{"duplicate line2 100", "match settlement transaction_id line1 item1"},
		},
		{
			"one reference, two captures, two rows without their transactions",
			[]matchLine{paid(1, "X1", "R1", 100), paid(2, "X2", "R1", 100)},
			[]bookItem{captureOf(1, "T1", "R1", 100), captureOf(2, "T2", "R1", 100)},
			[]string{"missing_at_source item1 100", "missing_at_source item2 100", "missing_in_book line1 100", "missing_in_book line2 100"},
		},
		{
			"missed success asks", []matchLine{paid(1, "T9", "REF9", 900)}, nil,
			[]string{"ask line1", "missing_in_book line1 900"},
		},
		{
			"missed success of another amount does not ask", []matchLine{paid(1, "T9", "REF9", 901)}, nil,
			[]string{"missing_in_book line1 901"},
		},
		{
			"not settled by the provider", []matchLine{with(paid(1, "T1", "R1", 100), func(l *matchLine) { l.Booked = false })},
			[]bookItem{captureOf(1, "T1", "R1", 100)},
			[]string{"status_mismatch line1 item1 100"},
		},
		{
			"failed and unknown to the book", []matchLine{with(paid(1, "T1", "R1", 100), func(l *matchLine) { l.Booked = false })}, nil,
			[]string{},
		},
		{
			"later captures are not missing yet", nil,
			[]bookItem{item(captureOf(1, "T1", "R1", 100), func(i *bookItem) { i.Due = false })},
			[]string{},
		},
		{
			"net is wrong", []matchLine{with(paid(1, "T1", "R1", 100), func(l *matchLine) { l.Fee, l.VAT, l.Net = 5, 1, 93 })},
			[]bookItem{captureOf(1, "T1", "R1", 100)},
			[]string{"fee_mismatch line1 -1", "match settlement transaction_id line1 item1"},
		},
		{
			"charge-back", []matchLine{with(paid(1, "T1", "R1", -100), func(l *matchLine) { l.Kind = statements.Chargeback })},
			[]bookItem{item(captureOf(1, "T1", "R1", 100), func(i *bookItem) { i.Matched = true })},
			[]string{"unidentified line1 -100"},
		},
		{
			"refund by its own transaction", []matchLine{back(1, "F1", "T1", 40)},
			[]bookItem{refundOf(1, "F1", "T1", 40)},
			[]string{"match refund transaction_id line1 item1"},
		},
		{
			"refund by the payment and amount", []matchLine{back(1, "F1", "T1", 40)},
			[]bookItem{refundOf(1, "", "T1", 40), refundOf(2, "", "T1", 60)},
			[]string{"match refund original_transaction line1 item1", "refund_unmatched item2 -60"},
		},
		{
			"two equal refunds of one payment are told apart by people", []matchLine{back(1, "F1", "T1", 40)},
			[]bookItem{refundOf(1, "", "T1", 40), refundOf(2, "", "T1", 40)},
			[]string{"refund_unmatched item1 -40", "refund_unmatched item2 -40", "refund_unmatched line1 -40"},
		},
		{
			"refund of another amount", []matchLine{back(1, "F1", "T1", 50)},
			[]bookItem{refundOf(1, "F1", "T1", 40)},
			[]string{"amount_mismatch line1 item1 -10"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := input{Lines: tt.lines, Items: tt.items, Payments: pay}
			out := matchSettlement(in)
			if diff := gocmp.Diff(words(in, out), tt.want); diff != "" {
				t.Errorf("outcome (-got +want):\n%s", diff)
			}
		})
	}
}

func TestMatchBank(t *testing.T) {
	t.Parallel()
	one, other := lump("B1", 60, 40), lump("B2", 30)
	transfer := func(n int, ref, code string, amount int64) bookItem {
		i := captureOf(n, "S"+ref, code, amount)
		i.Provider, i.BankReference = "vietqr", ref
		return i
	}
	pay := map[string]knownPayment{"C1": {uid(1), 100}, "C2": {uid(2), 200}}
	vnpay := func(l matchLine) matchLine { l.Providers = []string{"vnpay"}; return l }
	tests := []struct {
		name    string
		lines   []matchLine
		items   []bookItem
		batches []batch
		want    []string
	}{
		{"batch named", []matchLine{naming(inBank(1, "F1", 100), one)}, nil, []batch{one}, []string{"match payout batch_id line1 B1"}},
		{
			"batch named, other amount", []matchLine{naming(inBank(1, "F1", 90), one)}, nil, []batch{one},
			[]string{"amount_mismatch line1 B1 -10"},
		},
		{
			"batch paid twice", []matchLine{naming(inBank(1, "F1", 100), one), naming(inBank(2, "F2", 100), one)}, nil, []batch{one},
			[]string{"duplicate line2 100", "match payout batch_id line1 B1"},
		},
		{
			"the wrong amount comes first", []matchLine{naming(inBank(1, "F1", 90), one), naming(inBank(2, "F2", 100), one)}, nil, []batch{one},
			[]string{"duplicate line1 90", "match payout batch_id line2 B1"},
		},
		{
			"two readings of a name, one has the amount", []matchLine{naming(inBank(1, "F1", 30), one, other)}, nil, []batch{one, other},
			[]string{"match payout batch_id line1 B2", "missing_at_source B1 100"},
		},
		{
			"two readings of a name, none has the amount", []matchLine{naming(inBank(1, "F1", 31), one, other)}, nil, []batch{one, other},
			[]string{"missing_at_source B1 100", "missing_at_source B2 30", "unidentified line1 31"},
		},
		{
			"batch not named, unique", []matchLine{vnpay(inBank(1, "F1", 100))}, nil, []batch{one, other},
			[]string{"match payout provider_and_amount line1 B1", "missing_at_source B2 30"},
		},
		{
			"batch not named, two of that net", []matchLine{vnpay(inBank(1, "F1", 100))}, nil, []batch{one, lump("B3", 100)},
			[]string{"missing_at_source B1 100", "missing_at_source B3 100", "unidentified line1 100"},
		},
		{
			"batch not named, provider not named", []matchLine{inBank(1, "F1", 100)}, nil, []batch{one},
			[]string{"missing_at_source B1 100", "unidentified line1 100"},
		},
		{
			"by the bank's reference", []matchLine{inBank(1, "F1", 100)}, []bookItem{transfer(1, "F1", "C1", 100)}, nil,
			[]string{"match transfer bank_reference line1 item1"},
		},
		{
			"by our reference", []matchLine{inBank(1, "F1", 100, "C1")}, []bookItem{transfer(1, "", "C1", 100)}, nil,
			[]string{"match transfer reference line1 item1"},
		},
		{
			"two transfers told apart by the bank's references",
			[]matchLine{inBank(1, "F1", 100, "C1"), inBank(2, "F2", 100, "C1")},
			[]bookItem{transfer(1, "F2", "C1", 100), transfer(2, "F1", "C1", 100)}, nil,
			[]string{"match transfer bank_reference line1 item2", "match transfer bank_reference line2 item1"},
		},
		{
			"our reference, other amount", []matchLine{inBank(1, "F1", 90, "C1")}, []bookItem{transfer(1, "", "C1", 100)}, nil,
			[]string{"amount_mismatch line1 item1 -10"},
		},
		{"lost notice asks", []matchLine{inBank(1, "F1", 100, "C1")}, nil, nil, []string{"ask line1", "missing_in_book line1 100"}},
		{"lost notice without the bank's reference", []matchLine{inBank(1, "", 100, "C1")}, nil, nil, []string{"missing_in_book line1 100"}},
		{"lost notice of another amount", []matchLine{inBank(1, "F1", 70, "C1")}, nil, nil, []string{"amount_mismatch line1 -30"}},
		{"two payments named", []matchLine{inBank(1, "F1", 300, "C1", "C2")}, nil, nil, []string{"unidentified line1 300"}},
		{"a code that is nobody's", []matchLine{inBank(1, "F1", 100, "C7")}, nil, nil, []string{"unidentified line1 100"}},
		{"debit", []matchLine{inBank(1, "F1", -100, "C1")}, nil, nil, []string{"unidentified line1 -100"}},
		{"not booked", []matchLine{with(inBank(1, "F1", 100, "C1"), func(l *matchLine) { l.Booked = false })}, nil, nil, []string{}},
		{
			"transfer again for a matched capture", []matchLine{inBank(1, "F9", 100, "C1")},
			[]bookItem{item(transfer(1, "F1", "C1", 100), func(i *bookItem) { i.Matched = true })}, nil,
			[]string{"duplicate line1 100"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := input{Lines: tt.lines, Items: tt.items, Batches: slices.Clone(tt.batches), Payments: pay}
			out := matchBank(in)
			if diff := gocmp.Diff(words(in, out), tt.want); diff != "" {
				t.Errorf("outcome (-got +want):\n%s", diff)
			}
		})
	}
}

func TestRevokedPairsAreNotMadeAgain(t *testing.T) {
	t.Parallel()
	in := input{
		Lines: []matchLine{paid(1, "T1", "R1", 100)}, Items: []bookItem{captureOf(1, "T1", "R1", 100)},
		Refused: map[pair]bool{{lid(1), uid(1)}: true},
	}
	got := words(in, matchSettlement(in))
	if diff := gocmp.Diff(got, []string{"missing_at_source item1 100", "missing_in_book line1 100"}); diff != "" {
		t.Errorf("outcome (-got +want):\n%s", diff)
	}
}

// drawInput makes small worlds in which everything collides.
func drawInput(t *rapid.T) input {
	word := func(label string) string { return rapid.SampledFrom([]string{"", "A", "B", "C"}).Draw(t, label) }
	amount := func(label string) int64 { return rapid.SampledFrom([]int64{100, 200}).Draw(t, label) }
	in := input{Payments: map[string]knownPayment{"A": {uid(901), 100}, "B": {uid(902), 200}}, Refused: map[pair]bool{}}
	for i := range rapid.IntRange(0, 3).Draw(t, "batches") {
		in.Batches = append(in.Batches, batch{
			batchKey: batchKey{ID: fmt.Sprint(i)}, Provider: word("provider"), Date: today, Net: amount("net"),
			Lines: []LineID{lid(600 + i)}, Nets: []int64{0},
		})
	}
	kinds := []statements.Kind{statements.Payment, statements.Refund, statements.Adjustment, ""}
	for i := range rapid.IntRange(0, 8).Draw(t, "lines") {
		l := matchLine{
			ID: lid(i), Row: rapid.IntRange(1, 3).Draw(t, "row"), Date: today.AddDays(-rapid.IntRange(0, 1).Draw(t, "age")),
			Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Booked: rapid.IntRange(0, 4).Draw(t, "booked") > 0, Amount: amount("amount"),
			TransactionID: word("transaction"), Reference: word("reference"), OriginalID: word("original"), BankRef: word("bank ref"),
			Asked: rapid.Bool().Draw(t, "asked"),
		}
		if l.Kind == statements.Refund || rapid.IntRange(0, 4).Draw(t, "debit") == 0 {
			l.Amount = -l.Amount
		}
		l.Net = l.Amount - rapid.SampledFrom([]int64{0, 1}).Draw(t, "off")
		for _, c := range []string{"A", "B"} {
			if rapid.Bool().Draw(t, "code "+c) {
				l.Codes = append(l.Codes, c)
			}
		}
		for _, b := range in.Batches {
			if rapid.IntRange(0, 2).Draw(t, "names batch") == 0 {
				l.Batches = append(l.Batches, b.batchKey)
			}
		}
		if p := word("names provider"); p != "" {
			l.Providers = []string{p}
		}
		in.Lines = append(in.Lines, l)
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "items") {
		b := captureOf(100+i, word("transaction"), word("reference"), amount("amount"))
		if rapid.IntRange(0, 2).Draw(t, "refund") == 0 {
			b = refundOf(100+i, word("transaction"), word("original"), amount("amount"))
		}
		b.BankReference, b.Matched, b.Due = word("bank ref"), rapid.IntRange(0, 4).Draw(t, "matched") == 0, rapid.Bool().Draw(t, "due")
		in.Items = append(in.Items, b)
	}
	for _, l := range in.Lines {
		for _, i := range in.Items {
			if rapid.IntRange(0, 9).Draw(t, "refused") == 0 {
				in.Refused[pair{l.ID, i.ID}] = true
			}
		}
	}
	return in
}

func clone(in input) input {
	in.Lines, in.Items, in.Batches = slices.Clone(in.Lines), slices.Clone(in.Items), slices.Clone(in.Batches)
	return in
}

// Whatever the order of the input, the outcome is the same; nothing is used
// twice; and every booked line and every due item is matched or held, once.
func TestMatcherProperties(t *testing.T) {
	t.Parallel()
	for name, match := range map[string]func(input) outcome{"settlement": matchSettlement, "bank": matchBank} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				drawn := drawInput(t)
				if name == "bank" { // transfers only: an account shows no refunds of a provider
					drawn.Items = slices.DeleteFunc(drawn.Items, func(i bookItem) bool { return i.Kind == refundItem })
				} else {
					drawn.Batches = nil
				}
				in := clone(drawn)
				out := match(in)
				checkIdentity(t, in, out)
				shuffled := clone(drawn)
				shuffled.Lines = rapid.Permutation(drawn.Lines).Draw(t, "lines")
				shuffled.Items = rapid.Permutation(drawn.Items).Draw(t, "items")
				shuffled.Batches = rapid.Permutation(drawn.Batches).Draw(t, "batches")
				if diff := gocmp.Diff(words(shuffled, match(shuffled)), words(in, out)); diff != "" {
					t.Fatalf("another order, another outcome (-shuffled +first):\n%s", diff)
				}
			})
		})
	}
}

func checkIdentity(t *rapid.T, in input, out outcome) {
	lines, items, batches := make([]int, len(in.Lines)), make([]int, len(in.Items)), make([]int, len(in.Batches))
	use := func(counts []int, at int) {
		if at >= 0 {
			counts[at]++
		}
	}
	for _, m := range out.Matches {
		use(lines, m.Line)
		use(items, m.Item)
		use(batches, m.Batch)
		if m.Item >= 0 && (in.Items[m.Item].Amount != in.Lines[m.Line].Amount || in.Items[m.Item].Matched || in.Refused[pair{in.Lines[m.Line].ID, in.Items[m.Item].ID}]) {
			t.Fatalf("match of line %+v and item %+v", in.Lines[m.Line], in.Items[m.Item])
		}
		if m.Batch >= 0 && in.Batches[m.Batch].Net != in.Lines[m.Line].Amount {
			t.Fatalf("match of line %+v and batch %+v", in.Lines[m.Line], in.Batches[m.Batch])
		}
	}
	for _, f := range out.Findings {
		if !f.Tells {
			use(lines, f.Line)
			use(items, f.Item)
			use(batches, f.Batch)
		}
	}
	for i, n := range lines {
		if l := in.Lines[i]; n > 1 || (l.Booked && n != 1) {
			t.Fatalf("line %+v is used %d times", l, n)
		}
	}
	for i, n := range items {
		if b := in.Items[i]; n > 1 || (b.Matched && n != 0) || (b.Due && !b.Matched && n != 1) {
			t.Fatalf("item %+v is used %d times", b, n)
		}
	}
	for i, n := range batches {
		if n != 1 {
			t.Fatalf("batch %+v is used %d times", in.Batches[i], n)
		}
	}
}

func TestNamesIn(t *testing.T) {
	t.Parallel()
	ids := []string{"VNP20240502-01", "VNP20240502-012", "12"}
	batches := map[string][]batchKey{}
	for _, id := range ids {
		batches[squeeze(id)] = []batchKey{{ID: id}}
	}
	tests := []struct {
		content   string
		batches   []string
		providers []string
	}{
		{"VNPAY THANH TOAN DOT VNP20240502-01 TMN DVCTEST1", []string{"VNP20240502-01"}, []string{"vnpay"}},
		{"vnpay thanh toán đợt vnp20240502 01.", []string{"VNP20240502-01"}, []string{"vnpay"}},
		{"DOT VNP2024 0502-01 2 TMN", []string{"VNP20240502-01", "VNP20240502-012"}, nil},
		{"DOT VNP20240502-012", []string{"VNP20240502-012"}, nil},
		{"DOT VNP20240502-0123", nil, nil},
		{"XVNP20240502-01", nil, nil},
		{"12 VNPAYX", nil, nil},
		{"", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.content, func(t *testing.T) {
			t.Parallel()
			keys, providers := namesIn(tt.content, batches, map[string]string{"VNPAY": "vnpay"})
			var got []string
			for _, k := range keys {
				got = append(got, k.ID)
			}
			slices.SortFunc(got, cmp.Compare[string])
			if diff := gocmp.Diff([][]string{got, providers}, [][]string{tt.batches, tt.providers}); diff != "" {
				t.Errorf("names (-got +want):\n%s", diff)
			}
		})
	}
}
