package api

import (
	"context"
	_ "embed" // the description
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/gorilla/mux"
	nethttpmiddleware "github.com/oapi-codegen/nethttp-middleware"

	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/jsondoc"
	"github.com/doisoat/doisoat/web"
)

//go:embed openapi.yaml
var descriptionYAML []byte

// maxFaults bounds how many wrong members one answer names.
const maxFaults = 20

// description parses the embedded file; it panics when that is broken.
func description() *openapi3.T {
	doc, err := openapi3.NewLoader().LoadFromData(descriptionYAML)
	if err == nil {
		err = doc.Validate(context.Background())
	}
	if err != nil {
		panic(fmt.Sprintf("openapi.yaml: %v", err))
	}
	return doc
}

// descriptionJSON is the description for readers, without the hints to our code generator.
func descriptionJSON() []byte {
	text, err := description().MarshalJSON()
	if err != nil {
		panic(fmt.Sprintf("openapi.yaml: %v", err))
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		panic(fmt.Sprintf("openapi.yaml: %v", err))
	}
	dropGeneratorHints(tree)
	text, err = json.Marshal(tree)
	if err != nil {
		panic(fmt.Sprintf("openapi.yaml: %v", err))
	}
	return text
}

func dropGeneratorHints(tree any) {
	switch t := tree.(type) {
	case map[string]any:
		for name, v := range t {
			if strings.HasPrefix(name, "x-go-") {
				delete(t, name)
				continue
			}
			dropGeneratorHints(v)
		}
	case []any:
		for _, v := range t {
			dropGeneratorHints(v)
		}
	}
}

// validator refuses a request that does not have the described shape. Defaults are not written into the request: a handler reads the
// caller's own body.
func validator(doc *openapi3.T) mux.MiddlewareFunc {
	checked := shapeCheck(doc, false)
	return func(next http.Handler) http.Handler {
		shape := checked(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := checkBounds(doc, r); err != nil {
				web.WriteError(w, r, err)
				return
			}
			shape.ServeHTTP(w, r)
		})
	}
}

// shapeCheck checks address, headers and, unless exceptBody is set, the body.
func shapeCheck(doc *openapi3.T, exceptBody bool) mux.MiddlewareFunc {
	validate := nethttpmiddleware.OapiRequestValidatorWithOptions(doc, &nethttpmiddleware.Options{
		Options: openapi3filter.Options{
			MultiError:          true,
			ExcludeRequestBody:  exceptBody,
			SkipSettingDefaults: true,
			AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc, // web.Authenticate came before
		},
		DiscardValidatedValue: true, // it holds amounts as floats
		ErrorHandlerWithOpts: func(_ context.Context, err error, w http.ResponseWriter, r *http.Request, _ nethttpmiddleware.ErrorHandlerOpts) {
			web.WriteError(w, r, shapeFault(err))
		},
	})
	known := queryNames(doc)
	return func(next http.Handler) http.Handler {
		checked := validate(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := checkAddress(r, known); err != nil {
				web.WriteError(w, r, err)
				return
			}
			checked.ServeHTTP(w, r)
		})
	}
}

// queryNames lists the query parameters per method and path template.
func queryNames(doc *openapi3.T) map[string][]string {
	known := map[string][]string{}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			names := []string{}
			for _, p := range operation.Parameters {
				if p.Value.In == openapi3.ParameterInQuery {
					names = append(names, p.Value.Name)
				}
			}
			known[method+" "+path] = names
		}
	}
	return known
}

// checkAddress refuses a query parameter that is unknown or stands twice: a misspelt filter would otherwise list everything. Texts must
// be UTF-8 without NUL, which PostgreSQL cannot store.
func checkAddress(r *http.Request, known map[string][]string) error {
	for name, v := range mux.Vars(r) {
		if !storable(v) {
			return web.ErrParameter.At("{"+name+"}", "is not valid text")
		}
	}
	template := pathTemplate(r)
	for name, values := range r.URL.Query() {
		switch {
		case !slices.Contains(known[r.Method+" "+template], name):
			return web.ErrParameter.With("a query parameter is not known here").At("?"+strings.ToValidUTF8(name, "\uFFFD"), "is not known here")
		case len(values) > 1:
			return web.ErrParameter.At("?"+name, "appears twice")
		case !storable(values[0]):
			return web.ErrParameter.At("?"+name, "is not valid text")
		}
	}
	return nil
}

func pathTemplate(r *http.Request) string {
	if route := mux.CurrentRoute(r); route != nil {
		template, _ := route.GetPathTemplate()
		return template
	}
	return ""
}

func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// shapeFault turns the validator's tree of errors into one fault with pointers. The fault is web.ErrParameter when only parameters are
// wrong, and web.ErrInvalid in all other cases.
func shapeFault(err error) error {
	fields, parametersOnly := collect(err, nil, true)
	slices.SortFunc(fields, func(a, b fault.Field) int { return strings.Compare(a.Pointer+a.Detail, b.Pointer+b.Detail) })
	fields = slices.Compact(fields)
	sentinel := web.ErrInvalid
	if parametersOnly && len(fields) > 0 {
		sentinel = web.ErrParameter
	}
	for _, f := range fields[:min(len(fields), maxFaults)] {
		sentinel = sentinel.At(f.Pointer, f.Detail)
	}
	return sentinel.Because(err)
}

func collect(err error, fields []fault.Field, parametersOnly bool) ([]fault.Field, bool) {
	var several openapi3.MultiError
	if errors.As(err, &several) {
		if e, ok := err.(openapi3.MultiError); ok { //nolint:errorlint // only an unwrapped list is walked; wrapped ones come below
			for _, one := range e {
				fields, parametersOnly = collect(one, fields, parametersOnly)
			}
			return fields, parametersOnly
		}
	}
	var request *openapi3filter.RequestError
	if !errors.As(err, &request) {
		return append(fields, schemaFaults("", err)...), false
	}
	if p := request.Parameter; p != nil {
		at := map[string]string{"query": "?" + p.Name, "header": p.Name + ":", "path": "{" + p.Name + "}"}[p.In]
		for _, f := range schemaFaults("", request.Err) {
			fields = append(fields, fault.Field{Pointer: at, Detail: f.Detail})
		}
		return fields, parametersOnly
	}
	if request.Err == nil {
		return append(fields, fault.Field{Pointer: "", Detail: request.Reason}), false
	}
	return append(fields, schemaFaults("", request.Err)...), false
}

// schemaFaults collects the errors at the leaves of one value's tree of errors.
func schemaFaults(prefix string, err error) []fault.Field {
	switch e := err.(type) { //nolint:errorlint // the tree is walked level by level
	case openapi3.MultiError:
		var list []fault.Field
		for _, one := range e {
			list = append(list, schemaFaults(prefix, one)...)
		}
		return list
	case *openapi3.SchemaError:
		at := prefix
		for _, step := range e.JSONPointer() {
			at += "/" + jsondoc.Escape(step)
		}
		if e.Origin != nil {
			if inner := schemaFaults(prefix, e.Origin); len(inner) > 0 && inner[0].Pointer != "" {
				return inner
			}
		}
		var name string
		if n, _ := fmt.Sscanf(e.Reason, "property %q", &name); n == 1 &&
			strings.HasSuffix(e.Reason, "is unsupported") { // the library points at the parent
			return []fault.Field{{Pointer: at + "/" + jsondoc.Escape(name), Detail: "is not known here"}}
		}
		return []fault.Field{{Pointer: at, Detail: e.Reason}}
	case *openapi3filter.ParseError:
		return []fault.Field{{Pointer: prefix, Detail: "is not of the described type"}}
	case nil:
		return nil
	default:
		if errors.Is(err, openapi3filter.ErrInvalidRequired) {
			return []fault.Field{{Pointer: prefix, Detail: "is needed"}}
		}
		return []fault.Field{{Pointer: prefix, Detail: "is not as described"}}
	}
}

// pointerOf turns encoding/json's dotted path into a JSON pointer.
func pointerOf(dotted string) string {
	if dotted == "" {
		return ""
	}
	return "/" + strings.ReplaceAll(jsondoc.Escape(dotted), ".", "/")
}
