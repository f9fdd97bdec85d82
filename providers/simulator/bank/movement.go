package bank

import (
	"fmt"
	"strings"
	"time"

	"github.com/doisoat/doisoat/internal/calendar"
)

// Movement is one credit on a collecting account. It never changes. An account
// begins with a balance of zero, so that its balance is the sum of all movements.
type Movement struct {
	Account   string        `json:"account"`
	Number    int64         `json:"number"`
	Reference string        `json:"reference"` // the bank's, unique for ever
	Day       calendar.Date `json:"day"`       // booking and value date
	At        time.Time     `json:"at"`
	Amount    int64         `json:"amount"`
	Content   string        `json:"content"`
}

// Fictitious, generic parties: the simulator invents no person's name.
const (
	payerName    = "NGUOI NOP"
	receiverName = "CO QUAN THU"
)

// Book books a credit; the caller holds the lock.
func (b *Side) Book(account string, amount int64, content string, at time.Time) {
	b.book(account, amount, content, at)
}

// book books a credit under a new reference; the caller holds the lock.
func (b *Side) book(account string, amount int64, content string, at time.Time) *Movement {
	b.state.LastMovement++
	local := at.In(calendar.HoChiMinh)
	m := &Movement{
		Account: account, Number: b.state.LastMovement, Day: calendar.On(at), At: at, Amount: amount, Content: content,
		Reference: fmt.Sprintf("FT%02d%03d%09d", local.Year()%100, local.YearDay(), b.state.LastMovement),
	}
	b.state.Movements = append(b.state.Movements, m)
	b.totals[account] += amount
	b.core.Changed()
	return m
}

// receive books a transfer whose payer wrote text; the caller holds the lock.
func (b *Side) receive(a *Account, amount int64, text string) *Movement {
	text = plainASCII(text)
	if text == "" {
		text = payerName + " chuyen tien" // the default text of banking apps
	}
	at := b.core.Now()
	return b.book(a.Number, amount, wrap(a, text, b.state.LastMovement+1, at), at)
}

// opening returns an account's balance at the start of a day; the caller holds the lock.
func (b *Side) opening(account string, day calendar.Date) int64 {
	var sum int64
	for _, m := range b.state.Movements {
		if m.Account == account && m.Day.Before(day) {
			sum += m.Amount
		}
	}
	return sum
}

// wrap returns a payer's text as the receiving bank's statement shows it. It
// takes the bank's common wrappers in turn, as public statements show them.
func wrap(a *Account, text string, number int64, at time.Time) string {
	local := at.In(calendar.HoChiMinh)
	payer := fmt.Sprintf("10%08d", number)
	trace := fmt.Sprintf("%06d", 100_000+number%900_000)
	app := fmt.Sprintf("MBVCB.%010d.%s.CT tu %s %s toi %s %s",
		3_278_000_000+number, text, payer, payerName, a.Number, receiverName)
	dated := trace + local.Format(".020106.150405.") + text
	var shapes []string
	switch a.BIN {
	case "970436":
		shapes = []string{app, dated, fmt.Sprintf("%s FT%02d%03d%09d", dated, local.Year()%100, local.YearDay(), 500_000_000+number)}
	case "970415":
		shapes = []string{"CT nhanh 247 den: " + text + " (CT1111)", "Chuyen tien den tu NAPAS Noi dung: " + text + " (CT1111)"}
	case "970405":
		shapes = []string{text, "MB(" + trace + ")(" + text + ")"}
	case "970418":
		shapes = []string{fmt.Sprintf("%sxxx TKThe :%sxxx tai MB. %s -CTLNHIDI%012d-1/1-CRE-002", payer[:7], payer[:7], text, number)}
	case "970422":
		shapes = []string{text + " Ma giao dich Trace" + trace + " Trace " + trace}
	default:
		shapes = []string{app}
	}
	return shapes[(number-1)%int64(len(shapes))]
}

// Vietnamese vowels with marks, one group per plain letter.
var accentGroups = map[rune]string{
	'a': "àáạảãâầấậẩẫăằắặẳẵ", 'e': "èéẹẻẽêềếệểễ", 'i': "ìíịỉĩ", 'o': "òóọỏõôồốộổỗơờớợởỡ",
	'u': "ùúụủũưừứựửữ", 'y': "ỳýỵỷỹ", 'd': "đ",
}

var plainLetters = func() map[rune]rune {
	letters := map[rune]rune{}
	for plain, group := range accentGroups {
		for _, r := range group {
			letters[r] = plain
		}
		for _, r := range strings.ToUpper(group) {
			letters[r] = plain - 'a' + 'A'
		}
	}
	return letters
}()

// plainASCII drops accents, as banks do with 99.97 % of contents, and trims.
func plainASCII(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if plain, ok := plainLetters[r]; ok {
			return plain
		}
		if r >= 0x0300 && r <= 0x036F { // combining marks of decomposed text
			return -1
		}
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, text))
}
