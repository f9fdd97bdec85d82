package providers

import (
	"context"
	"encoding/json"

	"github.com/doisoat/doisoat/internal/jsondoc"
)

// Member is one name and its value: a string, json.Number, bool, nil, Members or []any.
type Member struct {
	Name  string
	Value any
}

// Members is a JSON object as the sender wrote it: in its order, with exact
// names and with numbers as their digits. Signatures depend on all three, and
// encoding/json would lose them.
type Members []Member

// DecodeMembers reads one JSON object. It fails with ErrMessage for every other
// JSON value and for every text that jsondoc refuses, such as a name used twice.
func DecodeMembers(data []byte) (Members, error) {
	value, err := decodeJSON(data, jsondoc.MessageTokens)
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

// Object returns the member called name when its value is an object, nil otherwise.
func (m Members) Object(name string) Members {
	value, _ := m.Find(name)
	object, _ := value.(Members)
	return object
}

func decodeJSON(data []byte, maxTokens int) (any, error) {
	node, err := jsondoc.Parse(context.Background(), data, maxTokens)
	if err != nil {
		return nil, ErrMessage.With("message is not valid JSON").Because(err)
	}
	return valueOf(node), nil
}

func valueOf(node jsondoc.Node) any {
	switch v := node.Value.(type) {
	case jsondoc.Object:
		object := make(Members, len(v))
		for i, m := range v {
			object[i] = Member{Name: m.Name, Value: valueOf(m.Value)}
		}
		return object
	case jsondoc.List:
		list := make([]any, len(v))
		for i, element := range v {
			list[i] = valueOf(element)
		}
		return list
	default:
		return v
	}
}
