package settlement

import (
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// decode turns the bytes of a text file into UTF-8 in NFC: valid UTF-8 as it
// is, anything else as Windows-1258, whose tone marks are separate characters.
// guessed says that the encoding was not sure.
func decode(raw []byte) (text string, guessed bool) {
	if !utf8.Valid(raw) {
		// Decoding a single-byte charset cannot fail: unmapped bytes become U+FFFD.
		raw, _ = charmap.Windows1258.NewDecoder().Bytes(raw)
		guessed = true
	}
	return string(norm.NFC.Bytes(raw)), guessed
}
