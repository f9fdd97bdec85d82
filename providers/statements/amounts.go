package statements

import (
	"strings"

	"github.com/shopspring/decimal"
)

// Digits that a number may have: ISO 20022 allows 18 with 5 after the point;
// the bound also keeps arithmetic on hostile input small.
const (
	maxWhole    = 18
	maxFraction = 10
)

// Decimal reads an unsigned xs:decimal ("150000", "8.850"). An amount of ISO 20022
// has no sign: the element CdtDbtInd gives the direction.
func Decimal(text string) (decimal.Decimal, bool) {
	whole, fraction, dotted := strings.Cut(strings.TrimPrefix(text, "+"), ".")
	if !digits(whole) || len(whole) > maxWhole || dotted && (!digits(fraction) || len(fraction) > maxFraction) {
		return decimal.Decimal{}, false
	}
	d, err := decimal.NewFromString(strings.TrimPrefix(text, "+"))
	return d, err == nil
}

// digits reports whether s is one or more ASCII digits.
func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// Style is a way to write numbers: a mark between thousands and one before decimals.
type Style struct{ group, point byte }

var styles = [...]Style{{',', '.'}, {'.', ','}, {' ', '.'}, {' ', ','}}

// read returns the plain form of body, and whether it has decimals. Thousands
// are groups of exactly three digits after a first group of one to three.
func (s Style) read(body string) (text string, decimals, ok bool) {
	whole, fraction, decimals := strings.Cut(body, string(s.point))
	if decimals && (!digits(fraction) || len(fraction) > maxFraction) {
		return "", false, false
	}
	groups := strings.Split(whole, string(s.group))
	for i, g := range groups {
		bad := !digits(g) || i > 0 && len(g) != 3 || i == 0 && len(groups) > 1 && len(g) > 3
		if bad || i > maxWhole {
			return "", false, false
		}
	}
	if text = strings.Join(groups, ""); len(text) > maxWhole {
		return "", false, false
	}
	if decimals {
		text += "." + fraction
	}
	return text, decimals, true
}

// Column decides from all values of a column how its numbers are written:
// "150.000" alone is 150000, but not in a column that also holds "150.50".
type Column struct {
	refused  [len(styles)]bool // some value cannot be read in this style
	decimals [len(styles)]bool // some value has decimals in this style
}

// See adds one value of the column. It reports whether the value is a number in some style.
func (c *Column) See(cell string) bool {
	_, body, ok := unsigned(cell)
	if !ok {
		return false
	}
	readable := false
	for i, s := range styles {
		_, decimals, ok := s.read(body)
		readable = readable || ok
		c.refused[i] = c.refused[i] || !ok
		c.decimals[i] = c.decimals[i] || decimals
	}
	return readable
}

// Style returns the style of the column. A mark is a thousands mark when all
// values allow it. Style returns false for an ambiguous column: no style fits all
// values, or two styles with different decimal marks fit.
func (c *Column) Style() (Style, bool) {
	found, ok := Style{}, false
	for i, s := range styles {
		if c.refused[i] {
			continue
		}
		if !c.decimals[i] {
			return s, true
		}
		if ok && found.point != s.point {
			return Style{}, false
		}
		if !ok {
			found, ok = s, true
		}
	}
	return found, ok
}

// Signed reads a cell in the chosen style.
func (s Style) Signed(cell string) (decimal.Decimal, bool) {
	negative, body, ok := unsigned(cell)
	if !ok {
		return decimal.Decimal{}, false
	}
	text, _, ok := s.read(body)
	if !ok {
		return decimal.Decimal{}, false
	}
	d, err := decimal.NewFromString(text)
	if err != nil {
		return decimal.Decimal{}, false
	}
	if negative {
		d = d.Neg()
	}
	return d, true
}

var (
	blanks     = strings.NewReplacer("\u00a0", " ", "\u202f", " ", "\u2009", " ", "\u2212", "-")
	currencies = []string{"VND", "VNĐ", "vnd", "vnđ", "đ", "₫"}
)

// unsigned removes currency words and the sign from a cell: -1, 1-, (1), +1.
func unsigned(cell string) (negative bool, body string, ok bool) {
	body = strings.TrimSpace(blanks.Replace(cell))
	for _, word := range currencies {
		body = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(body, word), word))
	}
	if inner, found := strings.CutPrefix(body, "("); found {
		body, ok = strings.CutSuffix(inner, ")")
		return true, strings.TrimSpace(body), ok && body != ""
	}
	switch {
	case strings.HasPrefix(body, "-"):
		negative, body = true, body[1:]
	case strings.HasPrefix(body, "+"):
		body = body[1:]
	case strings.HasSuffix(body, "-"):
		negative, body = true, body[:len(body)-1]
	}
	body = strings.TrimSpace(body)
	return negative, body, body != ""
}
