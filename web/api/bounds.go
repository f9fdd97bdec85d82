package api

import (
	"fmt"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/jsondoc"
	"github.com/doisoat/doisoat/web"
)

// checkBounds refuses a body that would cost the validator too much. The validator collects the faults of every value before it answers,
// so a list that is too long and many unknown members are refused before it starts. checkBounds stops at maxFaults; its own cost is
// linear in the document.
func checkBounds(doc *openapi3.T, r *http.Request) error {
	body, ok := web.Document(r.Context())
	if !ok {
		return nil
	}
	item := doc.Paths.Value(pathTemplate(r))
	if item == nil {
		return nil
	}
	operation := item.GetOperation(r.Method)
	if operation == nil || operation.RequestBody == nil {
		return nil
	}
	media := operation.RequestBody.Value.Content.Get("application/json")
	if media == nil || media.Schema == nil {
		return nil
	}
	var b bounds
	b.check(media.Schema.Value, body, jsondoc.NewPath())
	if !b.tooLong && len(b.faults) < maxFaults {
		return nil // the validator also finds these faults
	}
	refused := web.ErrInvalid
	for _, f := range b.faults {
		refused = refused.At(f.Pointer, f.Detail)
	}
	return refused
}

type bounds struct {
	faults  []fault.Field
	tooLong bool // a list or an object holds more than its schema allows
}

func (b *bounds) add(path jsondoc.Path, detail string) {
	b.faults = append(b.faults, fault.Field{Pointer: path.String(), Detail: detail})
}

func (b *bounds) check(s *openapi3.Schema, node jsondoc.Node, path jsondoc.Path) {
	switch v := node.Value.(type) {
	case jsondoc.List:
		if s.MaxItems != nil && uint64(len(v)) > *s.MaxItems {
			b.tooLong = true
			b.add(path, fmt.Sprintf("maximum number of items is %d", *s.MaxItems))
			return
		}
		if s.Items == nil {
			return
		}
		for i, element := range v {
			if len(b.faults) >= maxFaults {
				return
			}
			b.check(s.Items.Value, element, path.Element(i))
		}
	case jsondoc.Object:
		if s.MaxProps != nil && uint64(len(v)) > *s.MaxProps {
			b.tooLong = true
			b.add(path, fmt.Sprintf("there must be at most %d properties", *s.MaxProps))
			return
		}
		for _, m := range v {
			if len(b.faults) >= maxFaults {
				return
			}
			b.checkMember(s, m, path.Member(m.Name))
		}
	}
}

func (b *bounds) checkMember(s *openapi3.Schema, m jsondoc.Member, path jsondoc.Path) {
	closed := s.AdditionalProperties.Has != nil && !*s.AdditionalProperties.Has
	switch known := s.Properties[m.Name]; {
	case known != nil:
		b.check(known.Value, m.Value, path)
	case s.AdditionalProperties.Schema != nil:
		b.check(s.AdditionalProperties.Schema.Value, m.Value, path)
	case closed:
		b.add(path, "is not known here")
	}
}
