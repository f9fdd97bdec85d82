package settlement

import (
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// decode turns the bytes of a text file into UTF-8 in NFC. It reads bytes that
// are not valid UTF-8 as Windows-1258, whose tone marks are separate characters.
// guessed is true when decode could not be sure of the encoding.
func decode(raw []byte) (text string, guessed bool) {
	if !utf8.Valid(raw) {
		// Decoding a single-byte charset cannot fail: unmapped bytes become U+FFFD.
		raw, _ = charmap.Windows1258.NewDecoder().Bytes(raw)
		guessed = true
	}
	return string(norm.NFC.Bytes(raw)), guessed
}
