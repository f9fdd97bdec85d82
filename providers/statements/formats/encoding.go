package formats

import (
	"io"

	unicodecoding "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// utf16Of returns the byte order of a UTF-16 text. It reads the byte order mark,
// or the zero byte beside the first ASCII character when the mark is missing.
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

// utf8Mark is the byte order mark of UTF-8.
var utf8Mark = []byte("\ufeff")
