package providers

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/doisoat/doisoat/internal/ident"
)

// PlainText turns any text into the narrow ASCII that every provider takes:
// letters without their accents, digits, blanks and `.,:/-_`. Everything else
// becomes a blank, blanks are squeezed, and at most limit characters stay.
func PlainText(text string, limit int) string {
	var b strings.Builder
	blank := false
	for _, r := range foldAccents(text) {
		if !isPlain(r) {
			blank = true
			continue
		}
		if blank && b.Len() > 0 {
			b.WriteByte(' ')
		}
		blank = false
		b.WriteRune(r)
	}
	plain := b.String()
	if len(plain) > limit {
		plain = strings.TrimRight(plain[:limit], " ")
	}
	return plain
}

func isPlain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".,:/-_", r)
}

// foldAccents drops accents: canonical decomposition without the marks, and đ
// as d, which Unicode does not decompose.
func foldAccents(text string) []rune {
	folded := make([]rune, 0, len(text))
	for _, r := range norm.NFD.String(text) {
		switch {
		case unicode.Is(unicode.Mn, r):
		case r == 'đ':
			folded = append(folded, 'd')
		case r == 'Đ':
			folded = append(folded, 'D')
		default:
			folded = append(folded, r)
		}
	}
	return folded
}

// maxContent limits how much of a transfer text is searched; the longest seen is 197 characters.
const maxContent = 1024

// References finds our payment references in the text of a transfer, each
// once, in order of appearance. Banks put trace numbers and names around what
// the payer wrote, change case, drop punctuation and break at 35 characters:
// whole words are looked at first, then the text squeezed to letters and
// digits. A check character keeps chance away, but the text is the payer's:
// whoever uses a reference must compare account and amount as well.
func References(content string) []string {
	runes := foldAccents(content)
	text := strings.ToUpper(string(runes[:min(len(runes), maxContent)]))
	text = withoutWrapper(text)
	words := strings.FieldsFunc(text, func(r rune) bool { return !isCodeCharacter(r) })
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

// withoutWrapper cuts out the pieces that banks write around the payer's text
// and that could be taken for a code: payer names and accounts, and the ids of
// the interbank switch (34 characters).
func withoutWrapper(text string) string {
	for _, mark := range []string{".CT TU ", " CT TU "} { // Vietcombank: "….CT tu {account} {name} toi {account} {name}"
		if at := strings.Index(text, mark); at >= 0 {
			text = text[:at]
		}
	}
	if strings.HasPrefix(text, "(B/O ") { // Techcombank: "(B/O {name}) …"
		if end := strings.IndexByte(text, ')'); end >= 0 {
			text = text[end+1:]
		}
	}
	if at := strings.Index(text, ".REMARK:"); at >= 0 && strings.HasPrefix(text, "SHGD:") { // "SHGD:…BO:{name}.Remark:…"
		text = text[at+len(".REMARK:"):]
	}
	const idLength = 30
	words := strings.FieldsFunc(text, func(r rune) bool { return r == '.' || r == ' ' })
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
