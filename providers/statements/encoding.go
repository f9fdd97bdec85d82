package statements

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	unicodecoding "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

// utf16Of returns the byte order of a UTF-16 text by its mark, or by the zero
// bytes around a first ASCII character where the mark is missing.
func utf16Of(head []byte) (order unicodecoding.Endianness, found bool) {
	switch {
	case len(head) < 4:
		return unicodecoding.BigEndian, false
	case head[0] == 0xff && head[1] == 0xfe, head[0] != 0 && head[1] == 0 && head[2] != 0 && head[3] == 0:
		return unicodecoding.LittleEndian, true
	case head[0] == 0xfe && head[1] == 0xff, head[0] == 0 && head[1] != 0 && head[2] == 0 && head[3] != 0:
		return unicodecoding.BigEndian, true
	}
	return unicodecoding.BigEndian, false
}

// utf16Reader decodes UTF-16 and drops a byte order mark.
func utf16Reader(r io.Reader, order unicodecoding.Endianness) io.Reader {
	return transform.NewReader(r, unicodecoding.UTF16(order, unicodecoding.UseBOM).NewDecoder())
}

// charsetReader serves the encodings that an XML declaration may name. UTF-16
// was decoded before the declaration was seen.
func charsetReader(label string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "utf-16", "utf-16le", "utf-16be", "utf8", "us-ascii", "ascii":
		return r, nil
	case "iso-8859-1", "latin1":
		return charmap.ISO8859_1.NewDecoder().Reader(r), nil
	case "iso-8859-15":
		return charmap.ISO8859_15.NewDecoder().Reader(r), nil
	case "windows-1252", "cp1252":
		return charmap.Windows1252.NewDecoder().Reader(r), nil
	case "windows-1258", "cp1258":
		return charmap.Windows1258.NewDecoder().Reader(r), nil
	}
	return nil, reject(0, Encoding, "text encoding %s is not supported: save the file as UTF-8", quote(label))
}

// utf8Mark is the byte order mark of UTF-8.
var utf8Mark = []byte("\ufeff")

// decode turns the bytes of a text file into UTF-8 in NFC: valid UTF-8 as it
// is, anything else as Windows-1258, whose tone marks are separate characters.
// guessed says that the encoding was not sure.
func decode(raw []byte) (text string, guessed bool) {
	raw = bytes.TrimPrefix(raw, utf8Mark)
	if !utf8.Valid(raw) {
		// Decoding a single-byte charset cannot fail: unmapped bytes become U+FFFD.
		raw, _ = charmap.Windows1258.NewDecoder().Bytes(raw)
		guessed = true
	}
	return string(norm.NFC.Bytes(raw)), guessed
}
