package matching

import (
	"slices"
	"strings"
	"unicode"

	"github.com/doisoat/doisoat/internal/text"
)

// squeezed is a text reduced to upper-case letters and digits without accents,
// with the place of each in the text. Names are compared in this form because
// banks change case, drop punctuation and break words.
type squeezed struct {
	text string
	from []int  // rune index of each byte of text
	full []rune // the text without accents
}

func squeezeText(s string) squeezed {
	q := squeezed{full: []rune(text.Fold(s))}
	var b strings.Builder
	for i, r := range q.full {
		r = unicode.ToUpper(r)
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
			q.from = append(q.from, i)
		}
	}
	q.text = b.String()
	return q
}

// Squeeze reduces a text to upper-case letters and digits without accents.
func Squeeze(s string) string { return squeezeText(s).text }

// shortestName is the least length of a name to look for in a text. A shorter
// name would be found in many texts by chance.
const shortestName = 6

// contains reports whether the squeezed name stands in the text on its own. A
// letter or digit directly before or after it makes another name (…-01 and …-012).
func (q squeezed) contains(name string) bool {
	if name == "" {
		return false
	}
	for start := 0; ; {
		at := strings.Index(q.text[start:], name)
		if at < 0 {
			return false
		}
		at += start
		if q.free(q.from[at]-1) && q.free(q.from[at+len(name)-1]+1) {
			return true
		}
		start = at + 1
	}
}

// free reports whether the rune at a place of the text ends a word.
func (q squeezed) free(at int) bool {
	if at < 0 || at >= len(q.full) {
		return true
	}
	r := q.full[at]
	return !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// NamedIn returns the squeezed names that a content holds, sorted.
func NamedIn(content string, names map[string]bool) (list []string) {
	if len(names) == 0 {
		return nil
	}
	q := squeezeText(content)
	for name := range names {
		if len(name) >= shortestName && q.contains(name) {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// NamesIn returns the batches and providers that a content names. A text that
// the bank broke can be read in two ways (…-01 2 and …-012). NamesIn returns
// both batches, and the amount decides.
func NamesIn(content string, batches map[string][]BatchKey, providers map[string]string) (keys []BatchKey, names []string) {
	q := squeezeText(content)
	for name, same := range batches {
		if len(name) >= shortestName && q.contains(name) {
			keys = append(keys, same...)
		}
	}
	for name, provider := range providers {
		if q.contains(name) {
			names = append(names, provider)
		}
	}
	return keys, names
}
