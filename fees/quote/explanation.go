package quote

import (
	"bytes"
	_ "embed" // the texts
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
)

// Texts is one sentence for people, in Vietnamese and in English.
type Texts struct {
	Vi string `json:"vi"`
	En string `json:"en"`
}

// The wording is data: Vietnamese and English side by side, values in braces,
// terms as in the glossary.
//
//go:embed texts.json
var textsDocument []byte

// wording is the shape of texts.json.
type wording struct {
	Why     map[string]Texts `json:"why"`     // reason, or a variant of it
	Applied map[string]Texts `json:"applied"` // the effect of an applied policy
	Item    map[string]Texts `json:"item"`    // the item as a whole
	Clash   map[string]Texts `json:"clash"`   // why two policies cannot stand side by side
	Words   map[string]Texts `json:"words"`   // codes in the words of people
}

// texts panics when the embedded file is wrong, which a test would have found.
var texts = sync.OnceValue(func() wording {
	var w wording
	d := json.NewDecoder(bytes.NewReader(textsDocument))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		panic(fmt.Errorf("read texts.json: %w", err))
	}
	return w
})

// values replace the braces of a text: words, dates, amounts and codes.
type values map[string]any

// fill writes the values into both languages. A name without a value stays in the text, and a test finds it.
func (t Texts) fill(v values) Texts {
	var vi, en []string
	for name, value := range v {
		said := say(value)
		vi, en = append(vi, "{"+name+"}", said.Vi), append(en, "{"+name+"}", said.En)
	}
	return Texts{Vi: strings.NewReplacer(vi...).Replace(t.Vi), En: strings.NewReplacer(en...).Replace(t.En)}
}

// say puts one value into the words of both languages.
func say(value any) Texts {
	switch v := value.(type) {
	case Texts:
		return v
	case calendar.Date:
		return Texts{Vi: fmt.Sprintf("%02d/%02d/%04d", v.Day, int(v.Month), v.Year), En: v.String()}
	case money.Amount:
		return Texts{Vi: grouped(v.Minor, ".") + " đồng", En: grouped(v.Minor, ",") + " đồng"}
	case []schedule.Channel:
		return sayList(v)
	case []schedule.ServiceLevel:
		return sayList(v)
	case schedule.Channel:
		return word(string(v))
	case schedule.ServiceLevel:
		return word(string(v))
	case schedule.PaymentChannel:
		return word(string(v))
	case schedule.Basis:
		return word(string(v))
	default:
		plain := fmt.Sprint(v)
		return Texts{Vi: plain, En: plain}
	}
}

func word(code string) Texts {
	if t, ok := texts().Words[code]; ok {
		return t
	}
	return Texts{Vi: code, En: code}
}

func sayList[T ~string](list []T) Texts {
	var all Texts
	or := word("or")
	for i, code := range list {
		w := word(string(code))
		if i > 0 {
			all.Vi, all.En = all.Vi+or.Vi, all.En+or.En
		}
		all.Vi, all.En = all.Vi+w.Vi, all.En+w.En
	}
	return all
}

// grouped writes 1234567 as 1.234.567 with the mark between thousands.
func grouped(minor int64, mark string) string {
	digits := strconv.FormatInt(minor, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + mark + digits[i:]
	}
	return digits
}

// refusal is why a policy does not apply: the code, the wording, and the values in it.
type refusal struct {
	why  Why
	text string // key of the wording; the code when empty
	in   values
}

// none: nothing stands against the policy.
var none = refusal{}

func (r refusal) texts() Texts {
	key := r.text
	if key == "" {
		key = string(r.why)
	}
	return texts().Why[key].fill(r.in)
}

// appliedTexts describes the effect of a policy on the item.
func appliedTexts(c candidate, fee string, amount money.Amount) Texts {
	p := c.policy
	in := values{"policy": p.ID, "basis": p.LegalBasis.String(), "amount": amount, "funder": p.Effect.Funder}
	key := string(p.Effect.Kind)
	switch {
	case c.rule == RuleExemption:
		key = string(schedule.Exempt)
	case p.Effect.Kind == schedule.FixedAmount:
		in["fixed"] = money.Dong(*p.Effect.Amount)
	case p.Effect.Kind == schedule.ShareOfBase || p.Effect.Kind == schedule.ShareByFee:
		key = "share"
		if p.Combination == schedule.Multiply {
			key = "multiply"
		}
		share, _ := p.Effect.ShareOf(fee)
		in["numerator"], in["denominator"] = share.Numerator, share.Denominator
	}
	return texts().Applied[key].fill(in)
}

// summary explains an item as a whole: rate, each policy that applied, amount due.
func (it *Item) summary(c pricing) Texts {
	t := texts()
	in := values{"base": it.Base, "rate_basis": Texts{}}
	if c.rateBasis != "" {
		in["rate_basis"] = t.Item["rate_basis"].fill(values{"basis": c.rateBasis})
	}
	parts := []Texts{t.Item["priced"].fill(in)}
	if c.ground != "" {
		parts = append(parts, t.Item["assessed"].fill(values{"ground": c.ground}))
	}
	if c.scheduled != nil {
		parts = append(parts, t.Item["scheduled"].fill(values{"amount": money.Dong(*c.scheduled)}))
	}
	for _, a := range it.Applied {
		parts = append(parts, Texts{Vi: a.Texts.Vi + ".", En: a.Texts.En + "."})
	}
	if len(it.Applied) == 0 {
		parts = append(parts, t.Item["no_policy"])
	}
	parts = append(parts, t.Item["due"].fill(values{"due": it.Due}))
	var all Texts
	for i, p := range parts {
		if i > 0 {
			all.Vi, all.En = all.Vi+" ", all.En+" "
		}
		all.Vi, all.En = all.Vi+p.Vi, all.En+p.En
	}
	return all
}
