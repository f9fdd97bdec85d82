package schedule

import (
	"cmp"
	_ "embed" // the demo policies
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
)

// demoPolicies are real policies as read in public texts; the notes of the file say which parts are certain.
//
//go:embed demo/policies.json
var demoPolicies string

// DemoPolicies returns the policies file that the demo provinces start with.
func DemoPolicies() io.Reader { return strings.NewReader(demoPolicies) }

// File is a policies file: policies, the fee types they speak of, and free text for readers.
type File struct {
	SchemaVersion   int               `json:"schema_version"`
	Currency        string            `json:"currency"`
	Timezone        string            `json:"timezone"`
	WindowRule      string            `json:"window_rule"`
	CertaintyValues json.RawMessage   `json:"certainty_values"`
	FieldGuide      json.RawMessage   `json:"field_guide"`
	Notes           json.RawMessage   `json:"notes"`
	FeeTypes        map[string]string `json:"fee_types"` // code → name
	Policies        []Policy          `json:"policies"`
}

// ParseFile reads a policies file strictly. Every fault carries JSON pointers
// and the line and column. A file with a fault yields no policy.
func ParseFile(r io.Reader) (File, error) {
	text, err := readDocument(r)
	if err != nil {
		return File{}, err
	}
	var file File
	where, err := decodeStrict(text, &file)
	if err != nil {
		return File{}, err
	}
	var f fault.Problems
	f.Require(file.SchemaVersion == 0 || file.SchemaVersion == 1, "/schema_version", "must be 1")
	f.OneOf(file.Currency, "/currency", "", "VND")
	f.OneOf(file.Timezone, "/timezone", "", calendar.HoChiMinh.String())
	f.Require(len(file.Policies) > 0, "/policies", "must hold at least one policy")
	f.Require(len(file.Policies) <= MaxPolicies, "/policies", "must hold at most %d policies", MaxPolicies)
	for code := range file.FeeTypes {
		_, ok := kindOf(code)
		f.Require(ok, "/fee_types/"+code, "must look like P_NAME or LP_NAME in capitals")
	}
	f.Sort()
	seen := map[string]bool{}
	for i := range file.Policies {
		p := &file.Policies[i]
		at := fault.Element("/policies", i)
		p.fillDefaults()
		p.ValidateAt(&f, at)
		f.Require(!seen[p.ID], at+"/id", "another policy of this file is called %s too", p.ID)
		seen[p.ID] = true
	}
	if err := where.locate(f).As(ErrPolicy); err != nil {
		return File{}, err
	}
	return file, file.keepDocuments(text)
}

// keepDocuments gives every policy the text it was read from.
func (f *File) keepDocuments(text []byte) error {
	var raw struct {
		Policies []json.RawMessage `json:"policies"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return ErrDocument.Because(err)
	}
	for i := range f.Policies {
		f.Policies[i].Version, f.Policies[i].Document = 1, raw.Policies[i]
	}
	return nil
}

// Owners returns the codes of the authorities that adopted the file's policies, each once, sorted.
func (f File) Owners() []string {
	var codes []string
	for _, p := range f.Policies {
		codes = append(codes, p.Authority.Code)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// OwnedBy returns the policies adopted by one authority.
func (f File) OwnedBy(authority string) []Policy {
	var list []Policy
	for _, p := range f.Policies {
		if p.Authority.Code == authority {
			list = append(list, p)
		}
	}
	return list
}

// AllFeeTypes returns the catalogue and every fee type that only the file
// knows. Of those the code's prefix gives the kind; one that a central policy
// names, as its scope or as a companion, is set by the centre, any other by
// councils. They have no rate: each case brings its base.
func (f File) AllFeeTypes() []FeeType {
	central := map[string]bool{}
	names := map[string]string{}
	for code, name := range f.FeeTypes {
		names[code] = name
	}
	for _, p := range f.Policies {
		for _, code := range p.NamedFees() {
			central[code] = central[code] || p.Authority.Level == LevelCentral
			names[code] = cmp.Or(names[code], code)
		}
		for _, c := range p.Cases {
			names[c.FeeType] = cmp.Or(names[c.FeeType], c.FeeType)
		}
	}
	list := slices.Clone(Catalogue().FeeTypes)
	for _, known := range list {
		delete(names, known.Code)
	}
	for code, name := range names {
		kind, _ := kindOf(code)
		fee := FeeType{
			Code:        code,
			Name:        name,
			Territory:   Everywhere,
			Kind:        kind,
			SetBy:       SetByCouncil,
			CollectedBy: CollectedLocal,
			Rates:       []Rate{{}},
			Version:     1,
		}
		if central[code] {
			fee.SetBy = SetByCentral
		}
		list = append(list, fee)
	}
	slices.SortFunc(list, func(a, b FeeType) int { return strings.Compare(a.Code, b.Code) })
	return list
}

// NamedFees lists every fee type the policy prices: scope, shares and companions.
func (p *Policy) NamedFees() []string {
	codes := slices.Concat(p.Scope.FeeTypes, p.Effect.CompanionsStillDue)
	for code := range p.Effect.Shares {
		codes = append(codes, code)
	}
	return codes
}
