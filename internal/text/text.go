// Package text makes Vietnamese text comparable and printable in ASCII. Rooms
// that look for a word in a transfer, a header or a name call it, so that all
// of them drop accents in the same way.
//
// It owns no data and is pure. Invariants: every function accepts any string,
// invalid UTF-8 included; text in composed and in decomposed form gives the
// same result.
package text

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Fold drops accents and keeps case: canonical decomposition without the
// marks, and đ as d, which Unicode does not decompose.
func Fold(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case r == 'đ':
			return 'd'
		case r == 'Đ':
			return 'D'
		}
		return r
	}, norm.NFD.String(s))
}

// Words makes the words of a header comparable: folded, in lower case, with
// one blank for each run of characters that are neither letter nor digit.
func Words(s string) string {
	var b strings.Builder
	gap := false
	for _, r := range Fold(s) {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			gap = true
			continue
		}
		if gap && b.Len() > 0 {
			b.WriteByte(' ')
		}
		gap = false
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Plain turns any text into the narrow ASCII that every provider takes:
// folded letters, digits, blanks and `.,:/-_`. Each run of other characters
// becomes one blank, and at most limit characters stay.
func Plain(s string, limit int) string {
	var b strings.Builder
	blank := false
	for _, r := range Fold(s) {
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
