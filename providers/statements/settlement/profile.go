package settlement

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/text"
	"github.com/doisoat/doisoat/providers/statements"
)

//go:embed profiles/*.json
var profileFiles embed.FS

// field is a column that a profile can map.
type field string

// The fields of a settlement file.
const (
	fieldAccount       field = "account"        // merchant's terminal
	fieldReference     field = "reference"      // our reference
	fieldTransactionID field = "transaction_id" // provider's id
	fieldBankRef       field = "bank_ref"
	fieldKind          field = "kind"
	fieldOriginalID    field = "original_id"
	fieldAmount        field = "amount" // gross
	fieldFee           field = "fee"
	fieldFeeVAT        field = "fee_vat"
	fieldNet           field = "net"
	fieldStatus        field = "status"
	fieldTime          field = "time"
	fieldValueDate     field = "value_date" // day the provider pays
	fieldBatchID       field = "batch_id"
	fieldContent       field = "content"
)

var allFields = []field{
	fieldAccount, fieldReference, fieldTransactionID, fieldBankRef, fieldKind, fieldOriginalID, fieldAmount,
	fieldFee, fieldFeeVAT, fieldNet, fieldStatus, fieldTime, fieldValueDate, fieldBatchID, fieldContent,
}

// Profile maps the layout of a settlement file. Each profile is a JSON file in
// profiles/, named "<layout>-v<version>". A changed layout gets a new version, so
// that an old file keeps its reading. Words are compared without case, accents,
// punctuation and line feeds.
type Profile struct {
	Name     string         `json:"name"`
	Version  int            `json:"version"`
	Currency money.Currency `json:"currency"`
	// Columns maps fields to the header words that name them. A file has this
	// layout only when its header names all required fields.
	Columns map[field]struct {
		Words    []string `json:"words"`
		Required bool     `json:"required"`
	} `json:"columns"`
	// Times are Go layouts in the time of Viet Nam; the parser tries them in order.
	Times []string `json:"times"`
	// Kinds and Statuses map the file's words.
	Kinds    map[statements.Kind][]string   `json:"kinds"`
	Statuses map[statements.Status][]string `json:"statuses"`
	// Negative lists kinds that pay money back although the file writes their
	// amount as a positive number. The file writes their net as a negative one.
	Negative []statements.Kind `json:"negative"`
	Footer   struct {
		// Words begin a total row, or a remark, below the transactions.
		Words []string `json:"words"`
		// Check lists the fields whose total the parser compares. Count is the
		// column in which the total row gives the number of rows, if any.
		Check []field `json:"check"`
		Count field   `json:"count"`
	} `json:"footer"`
	// CheckNet requires net = gross - fee - VAT on each row.
	CheckNet bool `json:"check_net"`

	header   map[string]field
	kinds    map[string]statements.Kind
	statuses map[string]statements.Status
	footers  []string
}

// profiles are the embedded profiles by name. A faulty profile panics at start.
var profiles = mustLoadProfiles(profileFiles)

// Profiles returns the names of the mapping profiles, sorted.
func Profiles() []string {
	names := make([]string, 0, len(profiles))
	for name := range profiles {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func mustLoadProfiles(files fs.FS) map[string]*Profile {
	loaded := map[string]*Profile{}
	paths, err := fs.Glob(files, "profiles/*.json")
	if err != nil {
		panic(err)
	}
	for _, path := range paths {
		raw, err := fs.ReadFile(files, path)
		if err != nil {
			panic(err)
		}
		p, err := readProfile(raw)
		if err != nil {
			panic(fmt.Sprintf("%s: %v", path, err))
		}
		if want := "profiles/" + p.Name + ".json"; path != want {
			panic(fmt.Sprintf("%s: the profile inside is %s", path, p.Name))
		}
		loaded[p.Name] = p
	}
	return loaded
}

// readProfile decodes and checks one profile.
func readProfile(raw []byte) (*Profile, error) {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	p := &Profile{header: map[string]field{}, kinds: map[string]statements.Kind{}, statuses: map[string]statements.Status{}}
	if err := dec.Decode(p); err != nil {
		return nil, err
	}
	if !strings.HasSuffix(p.Name, fmt.Sprintf("-v%d", p.Version)) || p.Currency == "" || len(p.Times) == 0 {
		return nil, fmt.Errorf("profile %q: name must end in its version; currency and times are needed", p.Name)
	}
	for f, c := range p.Columns {
		if !slices.Contains(allFields, f) {
			return nil, fmt.Errorf("profile %s: unknown field %q", p.Name, f)
		}
		for _, w := range c.Words {
			if other, twice := p.header[text.Words(w)]; twice {
				return nil, fmt.Errorf("profile %s: %q names %s and %s", p.Name, w, other, f)
			}
			p.header[text.Words(w)] = f
		}
	}
	for _, f := range []field{fieldAmount, fieldTransactionID} {
		if !p.Columns[f].Required {
			return nil, fmt.Errorf("profile %s: %s must be required", p.Name, f)
		}
	}
	for kind, words := range p.Kinds {
		for _, w := range words {
			p.kinds[text.Words(w)] = kind
		}
	}
	for status, words := range p.Statuses {
		for _, w := range words {
			p.statuses[text.Words(w)] = status
		}
	}
	for _, w := range p.Footer.Words {
		p.footers = append(p.footers, text.Words(w))
	}
	return p, nil
}

// layout is a header row as a profile reads it: the column of each field.
type layout struct {
	profile *Profile
	at      map[field]int
	comma   byte
	header  int // index of the header row
}

// fit maps a header row. missing lists the required fields that the row lacks.
func (p *Profile) fit(cells []string) (at map[field]int, missing []field) {
	at = map[field]int{}
	for i, cell := range cells {
		f, known := p.header[text.Words(cell)]
		if _, twice := at[f]; known && !twice {
			at[f] = i
		}
	}
	for _, f := range allFields {
		if _, found := at[f]; p.Columns[f].Required && !found {
			missing = append(missing, f)
		}
	}
	return at, missing
}

// cell returns the trimmed text of a field in a row, "" when the row has no such cell.
func (l *layout) cell(row []string, f field) string {
	i, mapped := l.at[f]
	if !mapped || i >= len(row) {
		return ""
	}
	return strings.TrimSpace(row[i])
}

// isFooter reports whether a row begins with a word of the footer.
func (p *Profile) isFooter(row []string) bool {
	for _, cell := range row {
		words := text.Words(cell)
		if words == "" {
			continue
		}
		for _, stop := range p.footers {
			if words == stop || strings.HasPrefix(words, stop+" ") {
				return true
			}
		}
		return false // the first cell with text decides alone
	}
	return false
}

// zones are the suffixes that some providers write after a time. All mean the time of Viet Nam.
var zones = []string{" GMT+7", " GMT+07:00", " UTC+7", " (GMT+7)", " +07:00", " +0700"}

// instant reads a time in one of the layouts, day first.
func (p *Profile) instant(written string, local *time.Location) (time.Time, bool) {
	for _, zone := range zones {
		written = strings.TrimSuffix(written, zone)
	}
	for _, form := range p.Times {
		if at, err := time.ParseInLocation(form, written, local); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
