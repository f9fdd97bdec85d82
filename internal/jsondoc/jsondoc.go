// Package jsondoc reads JSON strictly: one reader for the bodies of requests,
// policies, providers' messages and files at the command line. encoding/json
// alone takes the last of two equal members, another program the first: where
// money moves, all programs must read the same.
//
// Parse refuses a member that appears twice, text that is not UTF-8, a byte
// order mark, text after the value, half a surrogate pair and U+0000. Its cost
// is linear in the length of the text, and its bounds are the constants below.
package jsondoc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of every document; Parse takes the bound of tokens from its caller.
const (
	MaxDepth = 32
	MaxName  = 256 // bytes of a member's name
	// MessageTokens bounds one request or message.
	MessageTokens = 50_000
	// FileTokens bounds a file that an operator hands to a command.
	FileTokens = 1_000_000
)

// tokensPerLook is how many tokens are read between two looks at the context.
const tokensPerLook = 4096

// Node is one value and the offset where it starts. Value is a string, a
// json.Number, a bool, nil, a List or an Object.
type Node struct {
	Value any
	At    int
}

// List holds the values of a JSON array.
type List []Node

// Object holds the members of a JSON object in the order of the text.
type Object []Member

// Member is one name and its value; At is where the name starts.
type Member struct {
	Name  string
	At    int
	Value Node
}

// Kind says which rule a document breaks.
type Kind int

// The kinds of faults.
const (
	Syntax    Kind = iota // not one JSON value in UTF-8
	Duplicate             // a member appears twice in its object
	NUL                   // U+0000, which PostgreSQL cannot store
	Bound                 // deeper, longer or more than the bounds allow
)

// Fault is the first fault that Parse found.
type Fault struct {
	Kind   Kind
	Path   Path
	At     int
	Reason string
}

// Error names the place and the reason.
func (f *Fault) Error() string {
	if len(f.Path) == 0 {
		return f.Reason
	}
	return f.Path.String() + ": " + f.Reason
}

// Path leads from the document to a value in it. A walk carries the steps and
// writes the pointer for a fault only: its length may be that of the document.
type Path []Step

// Step is a member's name, or the index of an element when Name is nil.
type Step struct {
	Name  *string
	Index int
}

// NewPath returns the path to the document itself, with room for all steps.
func NewPath() Path { return make(Path, 0, MaxDepth+1) }

// Member returns the path to a member of the object at p.
func (p Path) Member(name string) Path { return append(p, Step{Name: &name}) }

// Element returns the path to an element of the list at p.
func (p Path) Element(index int) Path { return append(p, Step{Index: index}) }

// String writes p as an RFC 6901 pointer.
func (p Path) String() string {
	var b strings.Builder
	for _, step := range p {
		b.WriteByte('/')
		if step.Name != nil {
			b.WriteString(Escape(*step.Name))
		} else {
			b.WriteString(strconv.Itoa(step.Index))
		}
	}
	return b.String()
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// Escape writes one step of an RFC 6901 pointer.
func Escape(step string) string { return pointerEscapes.Replace(step) }

// Find returns the value at pointer, or its nearest parent.
func (n Node) Find(pointer string) Node {
	for _, step := range strings.Split(pointer, "/")[1:] {
		next, ok := n.child(step)
		if !ok {
			break
		}
		n = next
	}
	return n
}

func (n Node) child(step string) (Node, bool) {
	switch v := n.Value.(type) {
	case List:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(v) {
			return v[i], true
		}
	case Object:
		for _, m := range v {
			if Escape(m.Name) == step {
				return m.Value, true
			}
		}
	}
	return Node{}, false
}

// Parse reads text, which must be one JSON value of at most maxTokens tokens.
// It returns a *Fault, or the context's error when its caller has gone.
func Parse(ctx context.Context, text []byte, maxTokens int) (Node, error) {
	p := parser{ctx: ctx, text: text, dec: json.NewDecoder(bytes.NewReader(text)), left: maxTokens, path: NewPath()}
	p.dec.UseNumber()
	if i := invalidUTF8(text); i >= 0 {
		return Node{}, p.fault(Syntax, i, "the text is not UTF-8")
	}
	node, err := p.value()
	if err != nil {
		return Node{}, err
	}
	end := p.next()
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return Node{}, p.fault(Syntax, end, "there is text after the end of the document")
	}
	return node, nil
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(text []byte) int {
	if utf8.Valid(text) {
		return -1
	}
	for i := 0; ; {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
}

type parser struct {
	ctx  context.Context //nolint:containedctx // lives as long as one Parse
	text []byte
	dec  *json.Decoder
	left int
	path Path
}

func (p *parser) fault(kind Kind, at int, reason string) error {
	return &Fault{Kind: kind, Path: append(Path(nil), p.path...), At: at, Reason: reason}
}

// next returns the offset of the next token.
func (p *parser) next() int {
	at := int(p.dec.InputOffset())
	for at < len(p.text) && strings.IndexByte(" \t\r\n:,", p.text[at]) >= 0 {
		at++
	}
	return at
}

// token reads one token and returns where it starts.
func (p *parser) token() (json.Token, int, error) {
	if p.left == 0 {
		return nil, 0, p.fault(Bound, p.next(), "the document holds too many values")
	}
	p.left--
	if p.left%tokensPerLook == 0 && p.ctx.Err() != nil {
		return nil, 0, p.ctx.Err()
	}
	at := p.next()
	token, err := p.dec.Token()
	if err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, at, p.fault(Syntax, int(syntax.Offset), syntax.Error())
		}
		return nil, at, p.fault(Syntax, len(p.text), "the document ends too early")
	}
	return token, at, nil
}

func (p *parser) value() (Node, error) {
	token, at, err := p.token()
	if err != nil {
		return Node{}, err
	}
	node := Node{Value: token, At: at}
	switch t := token.(type) {
	case string:
		err = p.checkText(at)
	case json.Delim:
		if len(p.path) >= MaxDepth {
			return Node{}, p.fault(Bound, at, "the document nests deeper than "+strconv.Itoa(MaxDepth))
		}
		if t == '{' {
			node.Value, err = p.object()
		} else {
			node.Value, err = p.list()
		}
	}
	return node, err
}

func (p *parser) list() (List, error) {
	list := List{}
	for p.dec.More() {
		p.path = p.path.Element(len(list))
		node, err := p.value()
		if err != nil {
			return nil, err
		}
		list = append(list, node)
		p.path = p.path[:len(p.path)-1]
	}
	_, _, err := p.token()
	return list, err
}

func (p *parser) object() (Object, error) {
	object, seen := Object{}, map[string]bool{}
	for p.dec.More() {
		token, at, err := p.token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // the decoder admits no other token here
		if len(name) > MaxName {
			return nil, p.fault(Bound, at, "a member's name is longer than "+strconv.Itoa(MaxName)+" bytes")
		}
		p.path = p.path.Member(name)
		if err := p.checkText(at); err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, p.fault(Duplicate, at, "member appears twice")
		}
		seen[name] = true
		value, err := p.value()
		if err != nil {
			return nil, err
		}
		object = append(object, Member{Name: name, At: at, Value: value})
		p.path = p.path[:len(p.path)-1]
	}
	_, _, err := p.token()
	return object, err
}

// checkText looks at the escapes of the string that was just read. Parse
// refuses an escape such as \ud800 without its other half: encoding/json would
// store U+FFFD, a character that the caller did not send.
func (p *parser) checkText(at int) error {
	raw := p.text[at:p.dec.InputOffset()]
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		unit := escaped(raw[i:])
		if unit == 0 {
			return p.fault(NUL, at+i, "must not contain the character U+0000")
		}
		if utf16.IsSurrogate(unit) {
			if utf16.DecodeRune(unit, escaped(raw[i+6:])) == utf8.RuneError {
				return p.fault(Syntax, at+i, "the text holds half a surrogate pair, which is no character")
			}
			i += 6
		}
		i++ // the escaped character may be a backslash
	}
	return nil
}

// escaped returns the code unit of the escape \uXXXX at the start of raw, or -1.
func escaped(raw []byte) rune {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(raw[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
