package providers

import (
	"bytes"
	"encoding/json"
	"io"
	"unicode/utf8"
)

// maxDepth limits how deep a message may nest; no protocol here needs more than four.
const maxDepth = 16

// Member is one name and its value: a string, json.Number, bool, nil, Members or []any.
type Member struct {
	Name  string
	Value any
}

// Members is a JSON object as it was written: in its order, with exact names
// and with numbers as their digits. encoding/json would lose all three, and
// signatures depend on them.
type Members []Member

// DecodeMembers reads one JSON object. It fails with ErrMessage for anything
// else: a name used twice, bytes after the end, text that is not UTF-8, or too
// deep nesting.
func DecodeMembers(data []byte) (Members, error) {
	value, err := decodeJSON(data)
	if err != nil {
		return nil, err
	}
	object, ok := value.(Members)
	if !ok {
		return nil, ErrMessage.With("message is not a JSON object")
	}
	return object, nil
}

// Find returns the value called name; ok is false when there is none.
func (m Members) Find(name string) (value any, ok bool) {
	for _, member := range m {
		if member.Name == name {
			return member.Value, true
		}
	}
	return nil, false
}

// Text returns a string member, or a number as its digits. Absent, null and
// any other type give "".
func (m Members) Text(name string) string {
	switch value, _ := m.Find(name); v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	default:
		return ""
	}
}

// Object returns a member that is an object, nil when it is not.
func (m Members) Object(name string) Members {
	value, _ := m.Find(name)
	object, _ := value.(Members)
	return object
}

func decodeJSON(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, ErrMessage.With("message is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	value, err := readValue(decoder, maxDepth)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, ErrMessage.With("something follows the end of the message")
	}
	return value, nil
}

func readValue(decoder *json.Decoder, depth int) (any, error) {
	if depth == 0 {
		return nil, ErrMessage.With("message nests too deeply")
	}
	token, err := decoder.Token()
	if err != nil {
		return nil, ErrMessage.With("message is not JSON").Because(err)
	}
	switch token {
	case json.Delim('{'):
		return readObject(decoder, depth-1)
	case json.Delim('['):
		return readList(decoder, depth-1)
	default:
		return token, nil
	}
}

func readObject(decoder *json.Decoder, depth int) (any, error) {
	object := Members{}
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, ErrMessage.With("message is not JSON").Because(err)
		}
		name, _ := token.(string) // the decoder allows nothing else here
		if seen[name] {
			return nil, ErrMessage.With("a member is given twice")
		}
		seen[name] = true
		value, err := readValue(decoder, depth)
		if err != nil {
			return nil, err
		}
		object = append(object, Member{Name: name, Value: value})
	}
	if _, err := decoder.Token(); err != nil {
		return nil, ErrMessage.With("message is not JSON").Because(err)
	}
	return object, nil
}

func readList(decoder *json.Decoder, depth int) (any, error) {
	list := []any{}
	for decoder.More() {
		value, err := readValue(decoder, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	if _, err := decoder.Token(); err != nil {
		return nil, ErrMessage.With("message is not JSON").Because(err)
	}
	return list, nil
}
