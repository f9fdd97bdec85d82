package settlement

import (
	"strings"

	"github.com/doisoat/doisoat/providers/statements"
)

// table reads RFC 4180 rows from a text. Two needs exclude encoding/csv: a
// hostile file must not cost more memory than the limits allow, and the reports
// need the line number of every row.
type table struct {
	text  string
	comma byte
	line  int  // line number where the next row starts, from 1
	loose bool // the table kept a misplaced quote as text
}

func newTable(text string, comma byte) *table { return &table{text: text, comma: comma, line: 1} }

// next returns the cells of the next row and the number of its first line. done
// is true after the last row. The cells share memory with the text.
func (t *table) next() (cells []string, line int, done bool, err error) {
	if t.text == "" {
		return nil, t.line, true, nil
	}
	line = t.line
	for {
		cell, end, err := t.cell(line)
		if err != nil {
			return nil, line, false, err
		}
		if len(cell) > statements.MaxText || len(cells) == statements.MaxColumns {
			return nil, line, false, statements.Refuse(line, statements.TextTooLong,
				"a cell is longer than 32 KiB, or a row has more than 256 cells")
		}
		cells = append(cells, cell)
		if end {
			t.line++
			return cells, line, false, nil
		}
	}
}

// cell removes the first cell and the mark after it from the text. end is true
// when the row ends with this cell.
func (t *table) cell(line int) (cell string, end bool, err error) {
	quoted, rest := "", t.text
	if strings.HasPrefix(rest, `"`) {
		if quoted, rest, err = t.quoted(line); err != nil {
			return "", false, err
		}
	}
	stop := strings.IndexAny(rest, string([]byte{t.comma, '\n'}))
	if stop < 0 {
		stop = len(rest)
	}
	tail := rest[:stop]
	if end = stop == len(rest) || rest[stop] == '\n'; end {
		tail = strings.TrimSuffix(tail, "\r")
	}
	t.text = rest[min(stop+1, len(rest)):]
	// A comma before the end of the text leaves one more, empty cell.
	if !end && t.text == "" {
		t.text = "\n"
	}
	if quoted != "" && tail != "" || strings.Contains(tail, `"`) {
		t.loose = true
	}
	if quoted != "" {
		return quoted[1:] + tail, end, nil
	}
	return tail, end, nil
}

// quoted returns the text of a quoted cell and the text after its closing quote.
// It puts one mark before the cell, so that callers can tell an empty cell from
// no cell.
func (t *table) quoted(line int) (text, rest string, err error) {
	var parts strings.Builder
	parts.WriteByte('"')
	rest = t.text[1:]
	for {
		i := strings.IndexByte(rest, '"')
		if i < 0 {
			return "", "", statements.Refuse(line, statements.BrokenCSV, "a quoted cell that starts on this row never ends")
		}
		parts.WriteString(rest[:i])
		t.line += strings.Count(rest[:i], "\n")
		rest = rest[i+1:]
		if !strings.HasPrefix(rest, `"`) {
			return parts.String(), rest, nil
		}
		parts.WriteByte('"')
		rest = rest[1:]
		if parts.Len() > statements.MaxText {
			return "", "", statements.Refuse(line, statements.TextTooLong, "a cell is longer than 32 KiB")
		}
	}
}

// empty reports whether a row has no text.
func empty(row []string) bool {
	for _, cell := range row {
		if strings.TrimSpace(cell) != "" {
			return false
		}
	}
	return true
}
