package fees

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/doisoat/doisoat/internal/fault"
)

// Limits on documents; the largest real policies file is 32 kB.
const (
	maxDocument = 4 << 20
	maxDepth    = 32
)

// positions remembers where in the text each JSON pointer starts.
type positions struct {
	text []byte
	at   map[string]int64
}

// describe turns the offset of a pointer, or of its nearest parent, into "line L, column C".
func (p positions) describe(pointer string) string {
	for {
		if offset, ok := p.at[pointer]; ok {
			return p.lineColumn(offset)
		}
		i := strings.LastIndexByte(pointer, '/')
		if i < 0 {
			return p.lineColumn(0)
		}
		pointer = pointer[:i]
	}
}

func (p positions) lineColumn(offset int64) string {
	before := p.text[:min(offset, int64(len(p.text)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}

// readDocument reads one JSON document of limited size.
func readDocument(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	if len(text) > maxDocument {
		return nil, ErrDocument.With("document is larger than %d bytes", maxDocument)
	}
	return text, nil
}

// decodeStrict decodes text into the struct that into points at. It is
// stricter than encoding/json, because a misread legal norm costs money:
// unknown members, members that differ only in case, repeated members, wrong
// types and trailing text are refused, each with its pointer and position.
func decodeStrict(text []byte, into any) (positions, error) {
	w := walker{dec: json.NewDecoder(bytes.NewReader(text)), where: positions{text: text, at: map[string]int64{}}}
	w.dec.UseNumber()
	if !utf8.Valid(text) {
		return w.where, ErrDocument.With("document is not UTF-8 text")
	}
	if i := bytes.Index(text, []byte(`\u0000`)); i >= 0 {
		return w.where, w.refuse("", int64(i), "the character \\u0000 cannot be stored")
	}
	if err := w.value(reflect.TypeOf(into).Elem(), "", 0); err != nil {
		return w.where, err
	}
	if _, err := w.dec.Token(); !errors.Is(err, io.EOF) {
		return w.where, w.refuse("", w.dec.InputOffset(), "text after the end of the document")
	}
	if err := json.Unmarshal(text, into); err != nil {
		return w.where, ErrDocument.Because(err) // cannot happen: the walk saw every value
	}
	return w.where, nil
}

type walker struct {
	dec   *json.Decoder
	where positions
}

func (w *walker) refuse(at string, offset int64, format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	place := w.where.lineColumn(offset)
	shown := at
	if shown == "" {
		shown = "document"
	}
	return ErrDocument.With("%s: %s: %s", place, shown, detail).At(at, place+": "+detail)
}

func (w *walker) token(at string) (json.Token, int64, error) {
	tok, err := w.dec.Token()
	end := w.dec.InputOffset()
	if err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, end, w.refuse(at, syntax.Offset, "%s", syntax.Error())
		}
		return nil, end, w.refuse(at, end, "document ends too early")
	}
	return tok, end, nil
}

// value reads one value that must fit t; a nil t is free text, where anything may stand.
func (w *walker) value(t reflect.Type, at string, depth int) error {
	start := w.dec.InputOffset()
	for start < int64(len(w.where.text)) && strings.IndexByte(" \t\r\n:,", w.where.text[start]) >= 0 {
		start++
	}
	w.where.at[at] = start
	if depth > maxDepth {
		return w.refuse(at, start, "nested deeper than %d", maxDepth)
	}
	tok, _, err := w.token(at)
	if err != nil {
		return err
	}
	t = shape(t)
	switch tok {
	case json.Delim('{'):
		if t != nil && (t.Kind() != reflect.Struct && t.Kind() != reflect.Map || isText(t)) {
			return w.refuse(at, start, "must be %s, not an object", describe(t))
		}
		return w.object(t, at, depth)
	case json.Delim('['):
		if t != nil && t.Kind() != reflect.Slice {
			return w.refuse(at, start, "must be %s, not a list", describe(t))
		}
		return w.list(t, at, depth)
	}
	return w.scalar(t, tok, at, start)
}

func (w *walker) object(t reflect.Type, at string, depth int) error {
	seen := map[string]bool{}
	for w.dec.More() {
		tok, end, err := w.token(at)
		if err != nil {
			return err
		}
		name, _ := tok.(string) // the decoder lets nothing else stand here
		here := at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		start := end - int64(len(name)) - 2
		if seen[name] {
			return w.refuse(here, start, "member appears twice")
		}
		seen[name] = true
		member, known := memberType(t, name)
		if !known {
			return w.refuse(here, start, "unknown member")
		}
		if err := w.value(member, here, depth+1); err != nil {
			return err
		}
	}
	_, _, err := w.token(at)
	return err
}

func (w *walker) list(t reflect.Type, at string, depth int) error {
	var elem reflect.Type
	if t != nil {
		elem = t.Elem()
	}
	for i := 0; w.dec.More(); i++ {
		if err := w.value(elem, pointer(at, i), depth+1); err != nil {
			return err
		}
	}
	_, _, err := w.token(at)
	return err
}

func (w *walker) scalar(t reflect.Type, tok json.Token, at string, start int64) error {
	if t == nil || tok == nil { // null is an absent member; validation asks for what is needed
		return nil
	}
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Map || t.Kind() == reflect.Struct && !isText(t) {
		return w.refuse(at, start, "must be %s", describe(t))
	}
	text, err := json.Marshal(tok)
	if err != nil {
		return w.refuse(at, start, "cannot be read")
	}
	if err := json.Unmarshal(text, reflect.New(t).Interface()); err != nil {
		var f *fault.Error
		if errors.As(err, &f) {
			return w.refuse(at, start, "%s", f.Message)
		}
		return w.refuse(at, start, "must be %s, not %.60s", describe(t), text)
	}
	return nil
}

// shape strips pointers; free JSON has no shape.
func shape(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() == reflect.Interface || t == reflect.TypeFor[json.RawMessage]() {
		return nil
	}
	return t
}

func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func memberType(t reflect.Type, name string) (reflect.Type, bool) {
	if t == nil {
		return nil, true
	}
	if t.Kind() == reflect.Map {
		return t.Elem(), true
	}
	for i := range t.NumField() {
		tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if tag == name && tag != "-" {
			return t.Field(i).Type, true
		}
	}
	return nil, false
}

func describe(t reflect.Type) string {
	switch {
	case isText(t):
		return "a date YYYY-MM-DD"
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int64 || t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Slice:
		return "a list"
	default:
		return "an object"
	}
}
