package settlement

import (
	"encoding/csv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/providers/statements"
)

// FuzzTable compares our rows with the rows of encoding/csv for every text that
// encoding/csv accepts.
func FuzzTable(f *testing.F) {
	for _, seed := range []string{"a,b\nc,d", "\"a\"\"b\",c\r\n,\n", "a,\"b\nc\"\n", ",", "\"\"", "a,b,\n\nc"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// encoding/csv also drops a lone CR at the end of the text and rewrites CRLF in quotes.
		if strings.Contains(text, "\r") {
			t.Skip()
		}
		reader := csv.NewReader(strings.NewReader(text))
		reader.FieldsPerRecord = -1
		want, err := reader.ReadAll()
		if err != nil {
			t.Skip()
		}
		var got [][]string
		table := newTable(text, ',')
		for {
			cells, _, done, err := table.next()
			if err != nil && len(text) > statements.MaxColumns {
				t.Skip() // beyond our limits
			}
			if err != nil {
				t.Fatalf("next: %v", err)
			}
			if done {
				break
			}
			// encoding/csv skips empty lines.
			if len(cells) > 1 || cells[0] != "" || len(want) > len(got) && len(want[len(got)]) == 1 && want[len(got)][0] == "" {
				got = append(got, cells)
			}
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("rows of %q (-got +want):\n%s", text, diff)
		}
	})
}
