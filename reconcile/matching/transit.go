package matching

import (
	"slices"
	"strconv"

	"github.com/google/uuid"
)

// byOrder matches a bank line with an order or a bounce. The content of the line
// must name the order, and both must have the same amount. No other line and no
// other order may fit. The first rule compares our own code of the order, the
// second the number of its document.
func (m *matcher) byOrder() {
	m.ordersNamed(ruleOrderCode, ScoreCertain, func(v *Item) []string { return v.Codes })
	m.ordersNamed(ruleDocument, scoreLikely, func(v *Item) []string { return v.Numbers })
}

func (m *matcher) ordersNamed(rule string, score int, names func(*Item) []string) {
	items := map[refAmount][]int{}
	for i := range m.Items {
		if v := &m.Items[i]; v.Kind == Transit && !m.itemDone[i] {
			for _, name := range names(v) {
				items[refAmount{name, v.Amount}] = append(items[refAmount{name, v.Amount}], i)
			}
		}
	}
	fits := make(map[int][]int) // items of a line
	lines := map[int]int{}      // how many lines an item has
	for i := range m.Lines {
		l := &m.Lines[i]
		if m.lineDone[i] || !l.Booked {
			continue
		}
		for _, name := range l.Orders {
			fits[i] = append(fits[i], items[refAmount{name, l.Amount}]...)
		}
		slices.Sort(fits[i])
		fits[i] = slices.Compact(fits[i])
		for _, item := range fits[i] {
			lines[item]++
		}
	}
	for i := range m.Lines {
		if len(fits[i]) != 1 || lines[fits[i][0]] != 1 {
			continue
		}
		v := &m.Items[fits[i][0]]
		m.pairUp(i, fits[i][0], LaneTransit, rule, "rule", score, map[string]string{
			"named": named(m.Lines[i].Orders, names(v)), "amount": strconv.FormatInt(v.Amount, 10), "bank_reference": m.Lines[i].BankRef,
		})
	}
}

// named returns the first of the names that a content holds, "" when it holds none.
func named(content, names []string) string {
	for _, name := range names {
		if slices.Contains(content, name) {
			return name
		}
	}
	return ""
}

// leftOrder records the break of an unmatched line that names open orders. It
// returns false, and records nothing, when the line names none.
func (m *matcher) leftOrder(line int) (ok bool) {
	l := &m.Lines[line]
	var open []int
	for i := range m.Items {
		v := &m.Items[i]
		if v.Kind == Transit && !m.itemDone[i] && (v.Amount < 0) == (l.Amount < 0) && named(l.Orders, slices.Concat(v.Codes, v.Numbers)) != "" {
			open = append(open, i)
		}
	}
	switch {
	case len(open) == 0:
		return false
	case len(open) == 1 && m.Items[open[0]].Amount != l.Amount:
		m.mismatch(line, open[0], "names an order or a bounce of another amount")
	default:
		m.lineBreak(line, Unidentified, uuid.Nil, "names orders that other lines name too, or several: a person decides")
	}
	return true
}
