package formats_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/charmap"
	unicodecoding "golang.org/x/text/encoding/unicode"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/providers/statements"
	"github.com/doisoat/doisoat/providers/statements/formats"
)

// document wraps entries of an account in đồng.
func document(entries string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>` +
		`<GrpHdr><MsgId>M1</MsgId></GrpHdr><Stmt><Id>S1</Id><Acct><Id><Othr><Id>0099</Id></Othr></Id><Ccy>VND</Ccy></Acct>` +
		entries + `</Stmt></BkToCstmrStmt></Document>`
}

// entry is a booked credit with more elements inside.
func entry(more string) string {
	return `<Ntry><Amt Ccy="VND">150000</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>` + more + `</Ntry>`
}

func TestEntry(t *testing.T) {
	t.Parallel()
	base := statements.Line{
		Row:      1,
		Amount:   d("150000"),
		Currency: "VND",
		Status:   statements.Booked,
		Kind:     statements.Credit,
		Net:      d("150000"),
	}
	with := func(change func(*statements.Line)) statements.Line {
		l := base
		change(&l)
		return l
	}
	for name, tc := range map[string]struct {
		more string
		want statements.Line
	}{
		"utc time falls on the next day in Viet Nam": {
			`<BookgDt><DtTm>2026-11-05T17:30:00Z</DtTm></BookgDt>`,
			with(func(l *statements.Line) {
				l.BookingDate = calendar.MustParse("2026-11-06")
				l.OccurredAt = time.Date(2026, 11, 6, 0, 30, 0, 0, calendar.HoChiMinh)
			}),
		},
		"time without offset is local": {
			`<BookgDt><DtTm>2026-11-05T23:59:59.999</DtTm></BookgDt><ValDt><Dt>2026-11-06+07:00</Dt></ValDt>`,
			with(func(l *statements.Line) {
				l.BookingDate, l.ValueDate = calendar.MustParse("2026-11-05"), calendar.MustParse("2026-11-06")
				l.OccurredAt = time.Date(2026, 11, 5, 23, 59, 59, 999e6, calendar.HoChiMinh)
			}),
		},
		"cut text is joined both ways": {
			`<NtryDtls><TxDtls><RmtInf><Ustrd>nop phi H26.12-2611</Ustrd><Ustrd>05-0007</Ustrd></RmtInf></TxDtls></NtryDtls>`,
			with(func(l *statements.Line) {
				l.Content, l.ContentJoined = "nop phi H26.12-2611 05-0007", "nop phi H26.12-261105-0007"
				l.Details = []statements.Detail{{Content: l.Content, ContentJoined: l.ContentJoined}}
			}),
		},
		"text of the entry where there are no details": {
			`<NtryRef>N1</NtryRef><AddtlNtryInf>nop phi</AddtlNtryInf>`,
			with(func(l *statements.Line) { l.Ref, l.Content, l.ContentJoined = "N1", "nop phi", "nop phi" }),
		},
		"debtor of version 08 is the other side of a credit": {
			`<NtryDtls><TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId><UETR>u</UETR></Refs><RltdPties><Dbtr><Pty><Nm>A</Nm></Pty></Dbtr>` +
				`<DbtrAcct><Id><Othr><Id>1</Id></Othr></Id></DbtrAcct><Cdtr><Pty><Nm>B</Nm></Pty></Cdtr></RltdPties></TxDtls></NtryDtls>`,
			with(func(l *statements.Line) {
				l.Counterparty = statements.Party{Name: "A", Account: "1"}
				l.Details = []statements.Detail{{UETR: "u", Counterparty: l.Counterparty}}
			}),
		},
		"reversal does not flip the sign, included charges are the fee": {
			`<RvslInd>true</RvslInd><Chrgs><Rcrd><Amt Ccy="VND">5000</Amt><CdtDbtInd>DBIT</CdtDbtInd><ChrgInclInd>true</ChrgInclInd></Rcrd>` +
				`<Rcrd><Amt Ccy="VND">700</Amt><ChrgInclInd>false</ChrgInclInd></Rcrd></Chrgs>`,
			with(func(l *statements.Line) { l.Reversal, l.Fee = true, d("5000") }),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := parse(t, []byte(document(entry(tc.more))), "")
			if f.Outcome != statements.OK || len(f.Problems) > 0 {
				t.Fatalf("Parse: %s with %v, want ok", f.Outcome, f.Problems)
			}
			if diff := cmp.Diff(f.Statements[0].Lines, []statements.Line{tc.want}); diff != "" {
				t.Errorf("Lines (-got +want):\n%s", diff)
			}
		})
	}
}

func TestCamtOutcomes(t *testing.T) {
	t.Parallel()
	laughs := `<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>`
	sound := document(entry(""))
	for name, tc := range map[string]struct {
		file string
		want statements.Code // empty for none
	}{
		"sound":           {sound, ""},
		"envelope":        {"<Envelope><AppHdr/>" + strings.SplitN(sound, "?>", 2)[1] + "</Envelope>", ""},
		"comment":         {strings.Replace(sound, "150000", "150<!-- x -->000", 1), ""},
		"doctype":         {`<!DOCTYPE Document SYSTEM "file:///etc/passwd">` + sound, statements.Doctype},
		"billion laughs":  {laughs + strings.Replace(sound, "S1", "&b;", 1), statements.Doctype},
		"unknown entity":  {strings.Replace(sound, "S1", "&b;", 1), statements.BrokenXML},
		"cut off":         {sound[:len(sound)/2], statements.BrokenXML},
		"cut in the root": {strings.TrimSuffix(sound, "</Document>"), statements.BrokenXML},
		"wrong nesting":   {strings.Replace(sound, "</Stmt></BkToCstmrStmt>", "</BkToCstmrStmt></Stmt>", 1), statements.BrokenXML},
		"two roots":       {sound + "<Document/>", statements.BrokenXML},
		"deep":            {"<Document>" + strings.Repeat("<a>", 100_000), statements.TooDeep},
		"long text":       {document(entry("<AddtlNtryInf>" + strings.Repeat("x", 40<<10) + "</AddtlNtryInf>")), statements.TextTooLong},
		"other xml":       {"<a><b/></a>", statements.UnknownLayout},
		"no statement":    {"<Document><BkToCstmrStmt/></Document>", statements.NoStatement},
		"empty statement": {document(""), statements.NoStatement},
		"charset":         {strings.Replace(sound, "UTF-8", "EBCDIC", 1), statements.Encoding},
		"no amount":       {document("<Ntry><CdtDbtInd>CRDT</CdtDbtInd></Ntry>"), statements.AmountNotNumber},
		"exponent":        {strings.Replace(sound, "150000", "1e99999999", 1), statements.AmountNotNumber},
		"negative amount": {strings.Replace(sound, "150000", "-150000", 1), statements.AmountNotNumber},
		"comma":           {strings.Replace(sound, "150000", "150,000", 1), statements.AmountNotNumber},
		"no direction":    {strings.Replace(sound, "CRDT", "", 1), statements.MissingIndicator},
		"unknown status":  {strings.Replace(sound, "BOOK", "DONE", 1), statements.UnknownStatus},
		"bad date":        {document(entry("<ValDt><Dt>2026-02-30</Dt></ValDt>")), statements.BadDate},
		"half a đồng":     {strings.Replace(sound, "150000", "150000.5", 1), statements.AmountNotWhole},
		"too many digits": {strings.Replace(sound, "150000", strings.Repeat("9", 19), 1), statements.AmountNotNumber},
		"no account":      {strings.Replace(sound, "<Othr><Id>0099</Id></Othr>", "", 1), statements.MissingAccount},
		"foreign entry":   {strings.Replace(sound, `"VND"`, `"USD"`, 1), statements.ForeignEntry},
		"summary": {
			document("<TxsSummry><TtlNtries><NbOfNtries>2</NbOfNtries></TtlNtries></TxsSummry>" + entry("")), statements.SummaryMismatch,
		},
		"garbage":             {"\x00\x01\x02\xff garbage", statements.UnsupportedType},
		"old excel":           {"\xd0\xcf\x11\xe0", statements.UnsupportedType},
		"xlsx":                {"PK\x03\x04", statements.UnsupportedType},
		"html":                {"<html><table></table></html>", statements.UnsupportedType},
		"mt940":               {"\r\n:20:X\r\n:25:Y", statements.UnsupportedType},
		"blank":               {" \r\n\t", statements.EmptyFile},
		"five megabytes of a": {strings.Repeat("a", 5<<20), statements.UnknownLayout},
		"five megabytes of ,": {strings.Repeat(",", 5<<20), statements.UnknownLayout},
		"five megabytes of <": {strings.Repeat("<", 5<<20), statements.BrokenXML},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := parse(t, []byte(tc.file), "")
			var want []statements.Code
			outcome := statements.OK
			if tc.want != "" {
				want, outcome = []statements.Code{tc.want}, tc.want.Outcome()
			}
			if diff := cmp.Diff(codes(f), want); f.Outcome != outcome || diff != "" {
				t.Errorf("Parse: %s with %v, want %s (-got +want):\n%s", f.Outcome, f.Problems, outcome, diff)
			}
			if f.Size != int64(len(tc.file)) || f.SHA256 != sha256.Sum256([]byte(tc.file)) {
				t.Errorf("Parse: size %d and hash are not of the whole file of %d bytes", f.Size, len(tc.file))
			}
			if (f.Outcome == statements.Reject) != (len(f.Statements) == 0) {
				t.Errorf("Parse: %s with %d statements", f.Outcome, len(f.Statements))
			}
		})
	}
}

func TestCharsets(t *testing.T) {
	t.Parallel()
	file := document(entry("<AddtlNtryInf>nộp phí à</AddtlNtryInf>"))
	want := parse(t, []byte(file), "").Statements
	little, err := unicodecoding.UTF16(unicodecoding.LittleEndian, unicodecoding.UseBOM).
		NewEncoder().
		String(strings.Replace(file, "UTF-8", "UTF-16", 1))
	if err != nil {
		t.Fatal(err)
	}
	big, err := unicodecoding.UTF16(unicodecoding.BigEndian, unicodecoding.IgnoreBOM).
		NewEncoder().
		String(strings.Replace(file, "UTF-8", "UTF-16BE", 1))
	if err != nil {
		t.Fatal(err)
	}
	latin, err := charmap.ISO8859_1.NewEncoder().
		String(strings.Replace(strings.Replace(file, "UTF-8", "ISO-8859-1", 1), "ộ", "&#x1ED9;", 1))
	if err != nil {
		t.Fatal(err)
	}
	for name, encoded := range map[string]string{
		"utf-8 mark": "\ufeff" + file, "utf-16": little, "utf-16 big without mark": big, "iso-8859-1": latin,
		"windows-1258": windows1258(t, strings.Replace(file, "UTF-8", "windows-1258", 1)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := parse(t, []byte(encoded), "")
			if diff := cmp.Diff(f.Statements, want); f.Outcome != statements.OK || diff != "" {
				t.Errorf("Parse: %s with %v; statements (-got +want):\n%s", f.Outcome, f.Problems, diff)
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	f, err := formats.Parse(io.MultiReader(strings.NewReader("<Document>"), endless(' ')), formats.Options{})
	if err != nil || f.Outcome != statements.Reject {
		t.Fatalf("Parse: %s, %v, want reject", f.Outcome, err)
	}
	if diff := cmp.Diff(codes(f), []statements.Code{statements.TooLarge}); diff != "" {
		t.Errorf("problems (-got +want):\n%s", diff)
	}
}

// endless is a reader without an end.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

func TestReadFailureIsNoRejection(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection lost")
	for _, start := range []string{"", document(entry(""))[:300], genericHeader} {
		f, err := formats.Parse(io.MultiReader(strings.NewReader(start), iotest.ErrReader(broken)), formats.Options{})
		if !errors.Is(err, broken) {
			t.Errorf("Parse after %d bytes: %v with %v, want the reader's error", len(start), f.Outcome, err)
		}
	}
}

func TestProblemsAreCapped(t *testing.T) {
	t.Parallel()
	f := parse(t, []byte(document(strings.Repeat(entry("<ValDt><Dt>x</Dt></ValDt>"), 1500))), "")
	if n := len(f.Problems); n != statements.MaxProblems || f.Problems[n-1].Code != statements.MoreProblems {
		t.Errorf("Parse: %d problems, want %d, the last saying that there are more", n, statements.MaxProblems)
	}
	if n := f.Statements[0].Entries; n != 1500 {
		t.Errorf("Parse: %d entries, want 1500", n)
	}
}

func BenchmarkCamt(b *testing.B) {
	var rows strings.Builder
	const n = 20_000
	for i := range n {
		fmt.Fprintf(&rows, `<Ntry><NtryRef>%d</NtryRef><Amt Ccy="VND">%d</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>`+
			`<BookgDt><DtTm>2026-11-06T08:00:00+07:00</DtTm></BookgDt><ValDt><Dt>2026-11-06</Dt></ValDt><AcctSvcrRef>FT%d</AcctSvcrRef>`+
			`<NtryDtls><TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs>`+
			`<RmtInf><Ustrd>MBVCB.%d.nop phi H26.CT tu 001</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>`,
			i, 10_000+i, i, i)
	}
	run(b, document(rows.String()), n)
}

func BenchmarkSettlement(b *testing.B) {
	var rows strings.Builder
	const n = 20_000
	for i := range n {
		fmt.Fprintf(&rows, "DSOAT001,P%d,%d,VNP%d,PAYMENT,,60000,528,53,59419,SETTLED,06/11/2026 10:00:00,STL1\n", i, i, i)
	}
	run(b, vnpayHeader+rows.String(), n)
}

func run(b *testing.B, file string, rows int) {
	b.Helper()
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		f, err := formats.Parse(strings.NewReader(file), formats.Options{})
		if err != nil || f.Outcome != statements.OK {
			b.Fatalf("Parse: %s %v %v", f.Outcome, f.Problems, err)
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
