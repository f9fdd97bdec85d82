package schedule

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/jsondoc"
)

// maxDocument is the most bytes of a document; the largest real policies file has 32 kB.
const maxDocument = 4 << 20

// positions finds the place in the text that a JSON pointer names.
type positions struct {
	text []byte
	root jsondoc.Node
}

// describe turns a pointer, or its nearest parent, into "line L, column C".
func (p positions) describe(pointer string) string { return p.lineColumn(p.root.Find(pointer).At) }

func (p positions) lineColumn(offset int) string {
	before := p.text[:min(offset, len(p.text))]
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
// jsondoc refuses the text's own faults, decodeStrict unknown members, members
// that differ in case only and wrong types, each with its pointer and position.
func decodeStrict(text []byte, into any) (positions, error) {
	w := walker{where: positions{text: text}}
	root, err := jsondoc.Parse(context.Background(), text, jsondoc.FileTokens)
	if err != nil {
		var f *jsondoc.Fault
		if errors.As(err, &f) {
			return w.where, w.refuse(f.Path, f.At, "%s", f.Reason)
		}
		return w.where, err
	}
	w.where.root = root
	if err := w.value(reflect.TypeOf(into).Elem(), root, jsondoc.NewPath()); err != nil {
		return w.where, err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return w.where, ErrDocument.Because(err) // cannot happen: the walk saw every value
	}
	return w.where, nil
}

type walker struct {
	where positions
}

func (w *walker) refuse(path jsondoc.Path, offset int, format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	place := w.where.lineColumn(offset)
	at := path.String()
	shown := at
	if shown == "" {
		shown = "document"
	}
	return ErrDocument.With("%s: %s: %s", place, shown, detail).At(at, place+": "+detail)
}

// value checks that node fits t; a nil t is free JSON, where every value may stand.
func (w *walker) value(t reflect.Type, node jsondoc.Node, path jsondoc.Path) error {
	t = shape(t)
	if t == nil {
		return nil
	}
	switch v := node.Value.(type) {
	case jsondoc.Object:
		if t.Kind() != reflect.Struct && t.Kind() != reflect.Map || isText(t) {
			return w.refuse(path, node.At, "must be %s, not an object", describe(t))
		}
		for _, m := range v {
			here := path.Member(m.Name)
			member, known := memberType(t, m.Name)
			if !known {
				return w.refuse(here, m.At, "unknown member")
			}
			if err := w.value(member, m.Value, here); err != nil {
				return err
			}
		}
		return nil
	case jsondoc.List:
		if t.Kind() != reflect.Slice {
			return w.refuse(path, node.At, "must be %s, not a list", describe(t))
		}
		for i, element := range v {
			if err := w.value(t.Elem(), element, path.Element(i)); err != nil {
				return err
			}
		}
		return nil
	}
	return w.scalar(t, node, path)
}

func (w *walker) scalar(t reflect.Type, node jsondoc.Node, path jsondoc.Path) error {
	if node.Value == nil { // null is an absent member; the validation requires the needed ones
		return nil
	}
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Map || t.Kind() == reflect.Struct && !isText(t) {
		return w.refuse(path, node.At, "must be %s", describe(t))
	}
	text, err := json.Marshal(node.Value)
	if err != nil {
		return w.refuse(path, node.At, "cannot be read")
	}
	if err := json.Unmarshal(text, reflect.New(t).Interface()); err != nil {
		var f *fault.Error
		if errors.As(err, &f) {
			return w.refuse(path, node.At, "%s", f.Message)
		}
		return w.refuse(path, node.At, "must be %s, not %.60s", describe(t), text)
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

// locate adds line and column to the details of problems found in a text.
func (p positions) locate(found fault.Problems) fault.Problems {
	for i := range found {
		found[i].Detail += " (" + p.describe(found[i].Pointer) + ")"
	}
	return found
}
