package camt

import (
	"io"
	"strings"

	"golang.org/x/text/encoding/charmap"

	"github.com/doisoat/doisoat/providers/statements"
)

// charsetReader decodes the encodings that an XML declaration may name. Package
// formats has decoded UTF-16 before this package reads the declaration.
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
	return nil, statements.Refuse(0, statements.Encoding,
		"text encoding %s is not supported: save the file as UTF-8", statements.Quote(label))
}
