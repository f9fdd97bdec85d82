// Package transfers knows how banks change the text of a transfer on its way:
// trace numbers and names around the payer's words, other case, lost
// punctuation, words broken at 35 characters. The callback of a bank credit
// and the reconcile room call it to find our payment references.
//
// The package owns no data and is pure. Invariant: each returned reference has a
// valid check character and appears once.
package transfers

import (
	"slices"
	"strings"

	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/text"
)

// maxContent limits the searched characters of a transfer text. The longest known text has 197.
const maxContent = 1024

// References finds our payment references in the text of a transfer, each once,
// in order of appearance. It searches whole words first, then the text squeezed
// to letters and digits. The check character excludes most accidental matches.
// But the payer writes the text, so callers also compare account and amount.
func References(content string) []string {
	runes := []rune(text.Fold(content))
	upper := withoutWrapper(strings.ToUpper(string(runes[:min(len(runes), maxContent)])))
	words := strings.FieldsFunc(upper, func(r rune) bool { return !isCodeCharacter(r) })
	var found []string
	for _, word := range words {
		if ident.IsReference(word) && !slices.Contains(found, word) {
			found = append(found, word)
		}
	}
	if len(found) > 0 {
		return found
	}
	squeezed := strings.Join(words, "")
	for at := 0; at+ident.ReferenceLength <= len(squeezed); at++ {
		window := squeezed[at : at+ident.ReferenceLength]
		if !ident.IsReference(window) {
			continue
		}
		if !slices.Contains(found, window) {
			found = append(found, window)
		}
		at += ident.ReferenceLength - 1
	}
	return found
}

func isCodeCharacter(r rune) bool { return r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' }

// withoutWrapper removes the parts that banks write around the payer's text and
// that could look like a reference: names and accounts, and the ids of the
// interbank switch (34 characters).
func withoutWrapper(content string) string {
	for _, mark := range []string{".CT TU ", " CT TU "} { // Vietcombank: "….CT tu {account} {name} toi {account} {name}"
		if at := strings.Index(content, mark); at >= 0 {
			content = content[:at]
		}
	}
	if strings.HasPrefix(content, "(B/O ") { // Techcombank: "(B/O {name}) …"
		if end := strings.IndexByte(content, ')'); end >= 0 {
			content = content[end+1:]
		}
	}
	if at := strings.Index(content, ".REMARK:"); at >= 0 && strings.HasPrefix(content, "SHGD:") { // "SHGD:…BO:{name}.Remark:…"
		content = content[at+len(".REMARK:"):]
	}
	const idLength = 30
	words := strings.FieldsFunc(content, func(r rune) bool { return r == '.' || r == ' ' })
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return len(w) >= idLength && startsWithDigits(w, 8) }), " ")
}

func startsWithDigits(word string, n int) bool {
	for i := range min(n, len(word)) {
		if word[i] < '0' || word[i] > '9' {
			return false
		}
	}
	return len(word) >= n
}
