// Package openapi is the HTTP server that oapi-codegen generates from
// web/api/openapi.yaml: request and response types, routing, decoding. Only
// web/api imports it. It owns no data and holds no rule.
package openapi

import "github.com/doisoat/doisoat/fees/schedule"

//go:generate go tool -modfile=../../../tools/go.mod oapi-codegen -config oapi-codegen.yaml -o gen.go ../openapi.yaml

// FeeTypeDocument is a fee type as recorded, with its version.
type FeeTypeDocument struct {
	schedule.FeeType
	Version int `json:"version"`
}
