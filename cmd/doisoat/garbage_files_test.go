package main

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
)

// garbageUploads are requests that hold no file that could be kept.
func (d *devProgram) garbageUploads() {
	accountant := d.key(firstAuthority, auth.RoleAccountant)
	part := func(header, value string) string {
		return "--b\r\nContent-Disposition: form-data; " + header + "\r\n\r\n" + value + "\r\n"
	}
	source, file := part(`name="source"`, "bank"), part(`name="file"; filename="a.xml"`, "<Document/>")
	const kind, end = "multipart/form-data; boundary=b", "--b--\r\n"
	for _, tt := range []struct {
		name, kind, body string
		status           int
		code             string
	}{
		{"empty", kind, "", 422, "http.invalid"},
		{"JSON", "application/json", `{"source":"bank"}`, 415, "http.content_type"},
		{"no boundary", "multipart/form-data", source + file + end, 415, "http.content_type"},
		{"another boundary", "multipart/form-data; boundary=c", source + file + end, 422, "http.invalid"},
		{"truncated in the file", kind, source + file[:len(file)-6], 400, "http.malformed"},
		{"truncated after the file", kind, source + file, 400, "http.malformed"},
		{"no file", kind, source + end, 422, "http.invalid"},
		{"no source", kind, file + end, 422, "http.invalid"},
		{"empty file", kind, source + part(`name="file"; filename="a.xml"`, "") + end, 422, "http.invalid"},
		{"source twice", kind, source + source + file + end, 400, "http.duplicate_member"},
		{"file twice", kind, source + file + file + end, 400, "http.duplicate_member"},
		{"unknown part", kind, source + file + part(`name="x"`, "1") + end, 422, "http.invalid"},
		{"part without a name", kind, source + file + part(`x="y"`, "1") + end, 422, "http.invalid"},
		{"dry run maybe", kind, source + part(`name="dry_run"`, "maybe") + file + end, 422, "http.invalid"},
		{"source that is a path", kind, part(`name="source"`, "../bank") + file + end, 422, "http.invalid"},
		{"source of 1 MB", kind, part(`name="source"`, strings.Repeat("x", 1<<20)) + file + end, 422, "http.invalid"},
		{"unknown source", kind, part(`name="source"`, "nowhere") + file + end, 404, "statements.source_not_found"},
	} {
		a := d.ask(accountant, http.MethodPost, "/v1/statements", tt.body, "Content-Type", tt.kind)
		d.wantProblem(tt.name, a, tt.status, tt.code)
	}
}

// garbageFiles are files that are kept and refused: the statement is on record, and no line, match,
// break or entry follows.
func (d *devProgram) garbageFiles() {
	accountant := d.key(firstAuthority, auth.RoleAccountant)
	account := d.place().Authorities[firstAuthority].Merchants["vietqr"].Account
	today := calendar.On(time.Now()).String()
	good := d.control(http.MethodGet, "statement?source=bank&account="+account+"&date="+today, "").body
	before := d.rowCounts()
	bomb := `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">` + entities() +
		`]><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">&z;</Document>`
	for _, tt := range []struct {
		name string
		file []byte
	}{
		{"no XML", []byte("xin chào")},
		{"zeros", make([]byte, 4096)},
		{"broken XML", good[:len(good)/2]},
		{"another document", []byte(`<?xml version="1.0"?><html/>`)},
		{"entities", []byte(bomb)},
		{"outside entity", []byte(`<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>` +
			`<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">&a;</Document>`)},
		{"deep XML", []byte(strings.Repeat("<a>", 100_000))},
		{"a table of nothing", []byte(strings.Repeat("a;b;c\n", 1000))},
		{"wrong totals", closingPlusOne(d, good)},
		{"a letter in an amount", bytes.Replace(good, []byte(`Ccy="VND">`), []byte(`Ccy="VND">O`), 1)},
	} {
		a := d.upload(accountant, "bank", tt.name, tt.file)
		if a.status != http.StatusCreated || a.text("status") != "rejected" || a.text("problems.0.code") == "" ||
			a.text("problems.0.detail") == "" {
			d.t.Errorf("%s: got %d %.400s, want it kept as rejected with a reason", tt.name, a.status, a.body)
			continue
		}
		if tt.name == "entities" || tt.name == "outside entity" {
			if bytes.Contains(a.body, []byte("root:")) || bytes.Contains(a.body, []byte("aaaaaaaaaaaaaaaa")) {
				d.t.Errorf("%s: an entity was followed: %.400s", tt.name, a.body)
			}
		}
		again := d.upload(accountant, "bank", tt.name, tt.file)
		if again.status != http.StatusOK || again.text("status") != "duplicate" || again.text("duplicate_of") != a.text("id") {
			d.t.Errorf("%s again: got %d %.300s, want a duplicate of %s", tt.name, again.status, again.body, a.text("id"))
		}
		lines := d.must(http.StatusOK, accountant, http.MethodGet, "/v1/statements/"+a.text("id")+"/lines", "")
		if items, _ := lines.at("items").([]any); len(items) != 0 {
			d.t.Errorf("%s: a rejected statement has lines: %.300s", tt.name, lines.body)
		}
	}
	if diff := cmp.Diff(d.rowCounts(), before); diff != "" {
		d.t.Errorf("rows of tables after refused files (-got +want):\n%s", diff)
	}
	d.sameFileTwice(accountant, good)
}

// sameFileTwice brings a good file in twice, and once more under another name
// and key: it is one statement, with its lines once.
func (d *devProgram) sameFileTwice(accountant string, good []byte) {
	first := d.upload(accountant, "bank", "sao-ke.xml", good)
	if first.status != http.StatusCreated || first.text("status") != "accepted" {
		d.t.Fatalf("got %d %.400s, want an accepted statement", first.status, first.body)
	}
	after := d.rowCounts()
	for _, name := range []string{"sao-ke.xml", "khac.xml"} {
		again := d.upload(accountant, "bank", name, good)
		if again.status != http.StatusOK || again.text("status") != "duplicate" || again.text("duplicate_of") != first.text("id") {
			d.t.Errorf("again as %s: got %d %.300s, want a duplicate of %s", name, again.status, again.body, first.text("id"))
		}
	}
	if diff := cmp.Diff(d.rowCounts(), after); diff != "" {
		d.t.Errorf("rows of tables after the same file again (-got +want):\n%s", diff)
	}
}

// entities are ten levels of ten: 10^10 letters for a parser that expands them.
func entities() string {
	var b strings.Builder
	name := "a"
	for _, next := range []string{"b", "c", "d", "e", "f", "g", "h", "i", "z"} {
		fmt.Fprintf(&b, `<!ENTITY %s "%s">`, next, strings.Repeat("&"+name+";", 10))
		name = next
	}
	return b.String()
}

var closingBalance = regexp.MustCompile(`(?s)(<Cd>CLBD</Cd>.*?<Amt Ccy="VND">)(\d+)`)

// closingPlusOne is the statement with a closing balance that is one đồng off.
func closingPlusOne(d *devProgram, statement []byte) []byte {
	d.t.Helper()
	found := closingBalance.FindSubmatchIndex(statement)
	if found == nil {
		d.t.Fatalf("no closing balance in %.2000s", statement)
	}
	n, err := strconv.ParseInt(string(statement[found[4]:found[5]]), 10, 64)
	if err != nil {
		d.t.Fatal(err)
	}
	return bytes.Join([][]byte{statement[:found[4]], statement[found[5]:]}, []byte(strconv.FormatInt(n+1, 10)))
}
