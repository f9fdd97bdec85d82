package reports

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"
)

// Table is a report as people read it, in any format of file.
type Table struct {
	Title    string // also the name of the sheet, cut to the length that a sheet allows
	Headings []string
	Rows     [][]Cell
}

// Cell is a text or a whole number.
type Cell struct {
	text   string
	number int64
	isText bool
}

// Text makes a cell that a spreadsheet never takes for a formula.
func Text(s string) Cell { return Cell{text: s, isText: true} }

// Number makes a cell that a spreadsheet can add up.
func Number(n int64) Cell { return Cell{number: n} }

// shown disarms a text that a spreadsheet would run: a text of citizens or
// other systems is never a formula.
func (c Cell) shown() string {
	if !c.isText {
		return strconv.FormatInt(c.number, 10)
	}
	if c.text != "" && strings.ContainsRune("=+-@\t\r", rune(c.text[0])) {
		return "'" + c.text
	}
	return c.text
}

// byteOrderMark tells Excel that a CSV file is UTF-8.
const byteOrderMark = "\uFEFF"

// CSV writes headings and rows, UTF-8 with a byte order mark, lines ended as RFC 4180 says.
func (t Table) CSV(w io.Writer) error {
	if _, err := io.WriteString(w, byteOrderMark); err != nil {
		return err
	}
	file := csv.NewWriter(w)
	file.UseCRLF = true
	if err := file.Write(t.Headings); err != nil {
		return err
	}
	line := make([]string, len(t.Headings))
	for _, row := range t.Rows {
		for i, c := range row {
			line[i] = c.shown()
		}
		if err := file.Write(line); err != nil {
			return err
		}
	}
	file.Flush()
	return file.Error()
}

// maxSheetName is Excel's limit, in characters.
const maxSheetName = 31

// XLSX writes one sheet: the title, the headings, the rows.
func (t Table) XLSX(w io.Writer) (err error) {
	book := excelize.NewFile()
	defer func() {
		if closing := book.Close(); err == nil {
			err = closing
		}
	}()
	name := sheetName(t.Title)
	if err := book.SetSheetName("Sheet1", name); err != nil {
		return fmt.Errorf("name the sheet: %w", err)
	}
	bold, err := book.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}})
	if err != nil {
		return fmt.Errorf("make the style: %w", err)
	}
	sheet, err := book.NewStreamWriter(name)
	if err != nil {
		return fmt.Errorf("open the sheet: %w", err)
	}
	if err := sheet.SetColWidth(1, len(t.Headings), 24); err != nil {
		return fmt.Errorf("set widths: %w", err)
	}
	headings := make([]any, len(t.Headings))
	for i, h := range t.Headings {
		headings[i] = excelize.Cell{StyleID: bold, Value: h}
	}
	if err := sheet.SetRow("A1", []any{excelize.Cell{StyleID: bold, Value: t.Title}}); err != nil {
		return fmt.Errorf("write title: %w", err)
	}
	if err := sheet.SetRow("A2", headings); err != nil {
		return fmt.Errorf("write headings: %w", err)
	}
	line := make([]any, len(t.Headings))
	for i, row := range t.Rows {
		for j, c := range row {
			if line[j] = any(c.number); c.isText {
				line[j] = c.shown()
			}
		}
		if err := sheet.SetRow("A"+strconv.Itoa(i+3), line); err != nil {
			return fmt.Errorf("write row: %w", err)
		}
	}
	if err := sheet.Flush(); err != nil {
		return fmt.Errorf("finish the sheet: %w", err)
	}
	return book.Write(w)
}

// sheetName drops the characters that the name of a sheet may not have.
func sheetName(title string) string {
	name := []rune(strings.Map(func(r rune) rune {
		if strings.ContainsRune(`:\/?*[]`, r) {
			return ' '
		}
		return r
	}, title))
	return string(name[:min(len(name), maxSheetName)])
}
