// Package formats recognises the files of banks and providers by content and
// calls the parser of each: camt for ISO 20022, settlement for CSV. The
// reconcile room and the dry run of the import command call this package.
//
// The package is pure: reader in, lines out. Invariants: the hash and the size
// are of the whole file, also when parsing stops early; a failed read is an
// error and never a rejected file.
package formats

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"strings"

	"github.com/doisoat/doisoat/providers/statements"
	"github.com/doisoat/doisoat/providers/statements/camt"
	"github.com/doisoat/doisoat/providers/statements/settlement"
)

// Options direct a parse. The zero value recognises everything by content.
type Options struct {
	// Profile names the mapping profile of a CSV file. Parse tries all profiles
	// when it is empty. Other formats ignore it.
	Profile string
}

// Parse reads one file and recognises its format by content. It returns an error
// only when reading r fails. A fault of the file shows in Outcome and Problems.
func Parse(r io.Reader, opts Options) (statements.File, error) {
	src := &source{r: r, hash: sha256.New()}
	f := statements.File{Outcome: statements.OK}
	err := parse(&f, src, opts)
	// The hash is of the whole file, also when parsing stopped early.
	_, _ = io.Copy(io.Discard, src) // src keeps the error
	if src.failed != nil {
		return statements.File{}, src.failed
	}
	var stop statements.Refusal
	switch {
	case src.size > statements.MaxBytes:
		f.Refuse(statements.Problem{Code: statements.TooLarge, Detail: "the file is larger than 64 MiB"})
		return f, nil
	case errors.As(err, &stop):
		f.Refuse(stop.Problem)
	case err != nil:
		f.Refuse(statements.Problem{Code: statements.BrokenXML, Detail: err.Error()})
	}
	f.Size = src.size
	src.hash.Sum(f.SHA256[:0])
	return f, nil
}

// parse recognises the format and calls its parser.
func parse(f *statements.File, src *source, opts Options) error {
	in := bufio.NewReaderSize(src, 64<<10)
	head, _ := in.Peek(512) // src keeps the error
	if order, found := utf16Of(head); found {
		in = bufio.NewReaderSize(utf16Reader(in, order), 64<<10)
		head, _ = in.Peek(512)
	}
	if bytes.HasPrefix(head, utf8Mark) {
		_, _ = in.Discard(len(utf8Mark)) // just peeked
		head, _ = in.Peek(512)
	}
	start := bytes.TrimSpace(head)
	if len(start) == 0 {
		return statements.Refuse(0, statements.EmptyFile, "the file is empty")
	}
	if hint := unsupported(start); hint != "" {
		return statements.Refuse(0, statements.UnsupportedType, "%s", hint)
	}
	if start[0] == '<' {
		return camt.Read(f, in)
	}
	raw, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	return settlement.Read(f, raw, opts.Profile)
}

// unsupported recognises files without a parser. It returns a message that tells
// the person which file to send instead, "" for every other file.
func unsupported(start []byte) string {
	has := func(prefix string) bool { return bytes.HasPrefix(start, []byte(prefix)) }
	lower := strings.ToLower(string(start[:min(len(start), 64)]))
	switch {
	case has("PK\x03\x04"):
		return "XLSX and ZIP files are not read: save the sheet as CSV"
	case has("\xd0\xcf\x11\xe0"):
		return "old Excel files are not read: save the sheet as CSV"
	case has("%PDF"):
		return "PDF files are not read: ask the bank for camt.053 or CSV"
	case has("\x1f\x8b"):
		return "compressed files are not read: unpack the file first"
	case has("{1:"), has(":20:"), strings.Contains(lower, "\n:20:"):
		return "MT940 and MT942 are not read: ask the bank for camt.053 or CSV"
	case strings.HasPrefix(lower, "<html"), strings.HasPrefix(lower, "<table"), strings.HasPrefix(lower, "<!doctype html"):
		return "HTML tables are not read, even when named .xls: save the sheet as CSV"
	case has("{"), has("["):
		return "JSON files are not read"
	case bytes.IndexByte(start, 0) >= 0:
		return "the file is not text"
	}
	return ""
}

var errTooLarge = errors.New("file is too large")

// source hashes and counts the bytes of a file. It keeps the error of a failed
// read, so that Parse does not take a broken connection for a broken file.
type source struct {
	r      io.Reader
	hash   hash.Hash
	size   int64
	failed error
}

func (s *source) Read(p []byte) (int, error) {
	if s.failed != nil {
		return 0, s.failed
	}
	if s.size > statements.MaxBytes {
		return 0, errTooLarge
	}
	n, err := s.r.Read(p)
	s.size += int64(n)
	s.hash.Write(p[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed = err
	}
	return n, err
}
