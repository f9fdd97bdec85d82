package schedule

import (
	_ "embed" // the catalogue
	"sync"

	"github.com/doisoat/doisoat/internal/fault"
)

//go:embed catalogue.json
var catalogueText []byte

// NationalCatalogue is the list of fee types that Doisoat brings along, and the
// general refund rules. Amounts marked illustrative are set by each province.
type NationalCatalogue struct {
	Note           string       `json:"note"`
	FeeTypes       []FeeType    `json:"fee_types"`
	RefundDefaults []RefundRule `json:"refund_defaults"`
}

// Catalogue returns the embedded catalogue; callers must not change it. It
// panics when the embedded file is wrong, which a test would have found.
var Catalogue = sync.OnceValue(func() NationalCatalogue {
	var c NationalCatalogue
	where, err := decodeStrict(catalogueText, &c)
	if err != nil {
		panic(err)
	}
	var p fault.Problems
	for i := range c.FeeTypes {
		c.FeeTypes[i].Version = 1
		c.FeeTypes[i].ValidateAt(&p, fault.Element("/fee_types", i))
	}
	for i, r := range c.RefundDefaults {
		r.validate(&p, fault.Element("/refund_defaults", i))
	}
	if err := where.locate(p).As(ErrFeeType); err != nil {
		panic(err)
	}
	return c
})
