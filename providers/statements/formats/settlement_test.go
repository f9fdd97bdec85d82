package formats_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"golang.org/x/text/encoding/charmap"
	unicodecoding "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/unicode/norm"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/providers/statements"
)

const (
	genericHeader = "Mã giao dịch,Mã đơn hàng,Loại,Mã giao dịch gốc,Số tiền,Phí,VAT phí,Thực nhận,Trạng thái,Thời gian,Mã đợt\n"
	vnpayHeader   = "Mã website (terminal),Mã tham chiếu,Mã giao dịch VNPAY,Mã giao dịch ngân hàng,Loại,Mã giao dịch gốc," +
		"Số tiền,Phí,VAT phí,Thực nhận,Trạng thái,Thời gian,Mã đợt\n"
	vnpayRows = "DSOAT001,P1,14422574,VNP14422574,PAYMENT,,60000,528,53,59419,SETTLED,06/11/2026 23:59:59,STL20261106\n" +
		"DSOAT001,R1,14422580,VNP14422580,REFUND,14422574,60000,0,0,-60000,SETTLED,07/11/2026 00:00:01 GMT+7,STL20261106\n"
)

func TestSettlementReplica(t *testing.T) {
	t.Parallel()
	f := parse(t, read(t, "../testdata/replicas/settlement-lump-a/input.csv"), "")
	if f.Outcome != statements.OK || len(f.Problems) > 0 || f.Profile != "settlement-generic-v1" {
		t.Fatalf("Parse: %s by %q with %v, want ok by settlement-generic-v1", f.Outcome, f.Profile, f.Problems)
	}
	s := f.Statements[0]
	want := []statements.Batch{{
		ID: "STL20261106", Rows: 60, Gross: d("6420000"), Fee: d("51360"), FeeVAT: d("5136"), Net: d("6363504"),
	}}
	if diff := cmp.Diff(s.Batches, want); diff != "" {
		t.Errorf("Batches (-got +want):\n%s", diff)
	}
	if len(f.Statements) != 1 || s.Entries != 60 || len(s.Lines) != 60 || !s.SumCredit.Equal(d("6420000")) {
		t.Errorf("statement has %d entries, credit %s, want 60 and 6420000", s.Entries, s.SumCredit)
	}
}

func TestVNPAYSettlement(t *testing.T) {
	t.Parallel()
	f := parse(t, []byte(vnpayHeader+vnpayRows), "vnpay-settlement-v1")
	if f.Outcome != statements.OK || len(f.Problems) > 0 {
		t.Fatalf("Parse: %s with %v, want ok", f.Outcome, f.Problems)
	}
	at := time.Date(2026, 11, 6, 23, 59, 59, 0, calendar.HoChiMinh)
	want := []statements.Line{{
		Row: 2, BookingDate: calendar.MustParse("2026-11-06"), OccurredAt: at, Amount: d("60000"), Currency: money.VND,
		Status: statements.Booked, Ref: "VNP14422574", Reference: "P1", TransactionID: "14422574", Kind: statements.Payment,
		Fee: d("528"), FeeVAT: d("53"), Net: d("59419"), BatchID: "STL20261106",
	}, {
		Row: 3, BookingDate: calendar.MustParse("2026-11-07"), OccurredAt: at.Add(2 * time.Second), Amount: d("-60000"),
		Currency: money.VND, Status: statements.Booked, Ref: "VNP14422580", Reference: "R1", TransactionID: "14422580",
		OriginalID: "14422574", Kind: statements.Refund, Net: d("-60000"), BatchID: "STL20261106",
	}}
	if diff := cmp.Diff(f.Statements[0].Lines, want); diff != "" {
		t.Errorf("Lines (-got +want):\n%s", diff)
	}
	got, err := f.Statements[0].Lines[0].Settled()
	wantSettled := statements.Settled{Gross: money.Dong(60000), Fee: money.Dong(528), FeeVAT: money.Dong(53), Net: money.Dong(59419)}
	if err != nil || got != wantSettled {
		t.Errorf("Settled: %v, %v, want %v", got, err, wantSettled)
	}
	if a := f.Statements[0].Account; a != "DSOAT001" {
		t.Errorf("account %q, want DSOAT001", a)
	}
}

func TestSettlementOutcomes(t *testing.T) {
	t.Parallel()
	row := "A1,P1,PAYMENT,,20000,160,16,19824,SETTLED,06/11/2026 08:00:00,B1\n"
	for name, tc := range map[string]struct {
		file    string
		profile string
		outcome statements.Outcome
		codes   []statements.Code
		lines   int
	}{
		"sound":          {genericHeader + row, "", statements.OK, nil, 1},
		"two equal rows": {genericHeader + row + row, "", statements.OK, nil, 2},
		"preamble":       {"BÁO CÁO QUYẾT TOÁN\n\nNgày;06/11\n" + genericHeader + row, "", statements.OK, nil, 1},
		"right total":    {genericHeader + row + "TỔNG,1,,,20000,160,16,19824,,,\nNgười lập bảng\n", "", statements.OK, nil, 1},
		"total of a refund": {
			genericHeader + row + "A2,P2,REFUND,A1,5000,0,0,-5000,SETTLED,06/11/2026 08:00:00,B1\nTotal,,,,15000,160,16,14824,,,\n", "",
			statements.OK, nil, 2,
		},
		"wrong total": {
			genericHeader + row + "Tổng cộng,1,,,20000,160,16,19825,,,\n", "", statements.Reject, []statements.Code{statements.TotalMismatch}, 0,
		},
		"wrong count": {
			genericHeader + row + "Cộng,2,,,20000,160,16,19824,,,\n", "", statements.Reject, []statements.Code{statements.TotalMismatch}, 0,
		},
		"wrong net": {
			genericHeader + "A1,P1,PAYMENT,,20000,160,16,19825,SETTLED,06/11/2026 08:00:00,B1\n", "", statements.Partial,
			[]statements.Code{statements.RowNetMismatch},
			1,
		},
		"unknown kind": {
			genericHeader + "A1,P1,BONUS,,20000,160,16,19824,SETTLED,06/11/2026 08:00:00,B1\n", "", statements.Partial,
			[]statements.Code{statements.UnknownKind},
			1,
		},
		"unknown status": {
			genericHeader + "A1,P1,PAYMENT,,20000,160,16,19824,MAYBE,06/11/2026 08:00:00,B1\n", "", statements.Partial,
			[]statements.Code{statements.UnknownStatus},
			1,
		},
		"day first": {
			genericHeader + "A1,P1,PAYMENT,,20000,160,16,19824,SETTLED,11/25/2026 08:00:00,B1\n", "", statements.Partial,
			[]statements.Code{statements.BadDate},
			1,
		},
		"fraction of a đồng": {
			genericHeader + "A1,P1,PAYMENT,,20000.5,160,16,19824.5,SETTLED,06/11/2026 08:00:00,B1\n", "", statements.Partial,
			[]statements.Code{statements.AmountNotWhole},
			1,
		},
		"negative payment": {
			genericHeader + "A1,P1,PAYMENT,,-20000,0,0,-20000,SETTLED,06/11/2026 08:00:00,B1\n", "", statements.Partial,
			[]statements.Code{statements.SignConflict},
			1,
		},
		"no identifier": {
			genericHeader + ",,PAYMENT,,20000,160,16,19824,SETTLED,06/11/2026 08:00:00,B1\n", "", statements.Partial,
			[]statements.Code{statements.MissingID},
			1,
		},
		"stray row": {genericHeader + "???\n" + row, "", statements.Partial, []statements.Code{statements.UnreadableRow}, 1},
		"amount is a word": {
			genericHeader + "A1,P1,PAYMENT,,twenty,160,16,19824,SETTLED,06/11/2026 08:00:00,B1\n", "", statements.Reject,
			[]statements.Code{statements.AmountNotNumber},
			0,
		},
		"exponent": {
			genericHeader + "A1,P1,PAYMENT,,1e9,160,16,19824,SETTLED,06/11/2026 08:00:00,B1\n", "", statements.Reject,
			[]statements.Code{statements.AmountNotNumber},
			0,
		},
		"no amount": {
			genericHeader + "A1,P1,PAYMENT,,,160,16,19824,SETTLED,06/11/2026 08:00:00,B1\n", "", statements.Reject,
			[]statements.Code{statements.AmountNotNumber},
			0,
		},
		"marks contradict": {
			genericHeader + strings.Replace(row, "20000", `"20,000"`, 1) + strings.Replace(row, "20000", "20.000", 1), "", statements.Reject,
			[]statements.Code{statements.AmountAmbiguous},
			0,
		},
		"header only":     {genericHeader, "", statements.Reject, []statements.Code{statements.NoStatement}, 0},
		"endless quote":   {genericHeader + `"A1,P1`, "", statements.Reject, []statements.Code{statements.BrokenCSV}, 0},
		"other layout":    {"Date,Amount\n06/11/2026,1\n", "", statements.Reject, []statements.Code{statements.UnknownLayout}, 0},
		"other profile":   {genericHeader + row, "vnpay-settlement-v1", statements.Reject, []statements.Code{statements.UnknownLayout}, 0},
		"no such profile": {genericHeader + row, "nope", statements.Reject, []statements.Code{statements.UnknownProfile}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := parse(t, []byte(tc.file), tc.profile)
			lines := 0
			for _, s := range f.Statements {
				lines += len(s.Lines)
			}
			if diff := cmp.Diff(codes(f), tc.codes); f.Outcome != tc.outcome || lines != tc.lines || diff != "" {
				t.Errorf("Parse: %s with %d lines, want %s with %d; problems %v (-got +want):\n%s",
					f.Outcome, lines, tc.outcome, tc.lines, f.Problems, diff)
			}
		})
	}
}

func TestSettlementLayouts(t *testing.T) {
	t.Parallel()
	plainFile := genericHeader + "A1,P1,PAYMENT,,1500000,1200,120,1498680,SETTLED,06/11/2026 08:00:00,B1\n"
	want := parse(t, []byte(plainFile), "").Statements
	semicolon := strings.ReplaceAll(plainFile, ",", ";")
	utf16, err := unicodecoding.UTF16(unicodecoding.LittleEndian, unicodecoding.UseBOM).NewEncoder().String(plainFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"utf-8 mark":   "\ufeff" + plainFile,
		"utf-16":       utf16,
		"decomposed":   norm.NFD.String(plainFile),
		"windows-1258": windows1258(t, plainFile),
		"crlf":         strings.ReplaceAll(plainFile, "\n", "\r\n"),
		"semicolon":    semicolon,
		"tab":          strings.ReplaceAll(plainFile, ",", "\t"),
		"upper header": strings.ToUpper(genericHeader) + strings.SplitN(plainFile, "\n", 2)[1],
		"dots":         strings.NewReplacer("1500000", "1.500.000", "1200", "1.200", "1498680", "1.498.680").Replace(semicolon),
		"decimals":     strings.NewReplacer("1500000", "1500000.00", "1200", "1,200.00", "1498680", "1,498,680.00").Replace(semicolon),
		"blanks, đ": strings.NewReplacer("1500000", "1 500 000 đ", "1200", "1 200 VND", "1498680", "1\u00a0498\u00a0680").
			Replace(semicolon),
		"quoted":          strings.NewReplacer("1500000", `"1,500,000"`, "1200", `"1,200"`).Replace(plainFile),
		"no last newline": strings.TrimSpace(plainFile),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := parse(t, []byte(file), "")
			if diff := cmp.Diff(f.Statements, want); f.Outcome != statements.OK || diff != "" {
				t.Errorf("Parse: %s with %v; statements (-got +want):\n%s", f.Outcome, f.Problems, diff)
			}
		})
	}
}

func TestTerminalsAreAccounts(t *testing.T) {
	t.Parallel()
	other := strings.ReplaceAll(vnpayRows, "DSOAT001", "DSOAT002")
	f := parse(t, []byte(vnpayHeader+vnpayRows+other+vnpayRows), "")
	got := map[string]int{}
	for _, s := range f.Statements {
		got[s.Account] = len(s.Lines)
	}
	if diff := cmp.Diff(got, map[string]int{"DSOAT001": 4, "DSOAT002": 2}); diff != "" {
		t.Errorf("lines per account (-got +want):\n%s", diff)
	}
}

func TestReportJSON(t *testing.T) {
	t.Parallel()
	f := parse(t, read(t, "../testdata/replicas/camt053-vnd-a/input.xml"), "")
	raw, err := statements.ReportJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	statement := got["statements"].([]any)[0].(map[string]any)
	lines := statement["lines"].([]any)
	delete(statement, "lines")
	if diff := cmp.Diff(got, map[string]any{
		"outcome": "ok", "format": "camt.053", "problems": []any{}, "statements": []any{map[string]any{
			"account": "0099001234567", "currency": "VND", "id": "S1", "opening": "1000000000", "closing": "1004950000",
			"entries": 3.0, "sum_credit": "5100000", "sum_debit": "150000", "balance_check": "ok",
		}},
	}); diff != "" {
		t.Errorf("ReportJSON (-got +want):\n%s", diff)
	}
	if len(lines) != 4 {
		t.Fatalf("ReportJSON: %d lines, want 4", len(lines))
	}
	if diff := cmp.Diff(lines[3], any(map[string]any{
		"row": 4.0, "booking_date": "2026-11-06", "value_date": "2026-11-06", "amount": "75000", "ref": "VB26110600004",
		"content": "Cho hach toan", "status": "PDNG",
	})); diff != "" {
		t.Errorf("line 4 (-got +want):\n%s", diff)
	}
}

func TestReportOfRejectedFile(t *testing.T) {
	t.Parallel()
	raw, err := statements.ReportJSON(parse(t, nil, ""))
	want := `{"outcome":"reject","problems":[{"row":0,"code":"empty_file","detail":"the file is empty"}],"statements":[]}`
	var compact strings.Builder
	if err == nil {
		var v statements.Report
		if err = json.Unmarshal(raw, &v); err == nil {
			err = json.NewEncoder(&compact).Encode(v)
		}
	}
	if err != nil || strings.TrimSpace(compact.String()) != want {
		t.Errorf("ReportJSON: %s, %v, want %s", compact.String(), err, want)
	}
}

// windows1258 writes s in Windows-1258, whose tone marks are separate characters.
func windows1258(t *testing.T, s string) string {
	t.Helper()
	var b strings.Builder
	for _, r := range s {
		if _, ok := charmap.Windows1258.EncodeRune(r); ok {
			b.WriteRune(r)
			continue
		}
		parts := []rune(norm.NFD.String(string(r)))
		// ộ is o + dot below + circumflex; the charset has ô and the dot.
		for i := 1; i < len(parts); i++ {
			base := norm.NFC.String(string([]rune{parts[0], parts[i]}))
			if _, ok := charmap.Windows1258.EncodeRune([]rune(base)[0]); ok && len([]rune(base)) == 1 && len(parts) == 3 {
				b.WriteString(base)
				b.WriteRune(parts[3-i])
				parts = nil
			}
		}
		b.WriteString(string(parts))
	}
	out, err := charmap.Windows1258.NewEncoder().String(b.String())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func codes(f statements.File) []statements.Code {
	var list []statements.Code
	for _, p := range f.Problems {
		list = append(list, p.Code)
	}
	return list
}

func d(s string) decimal.Decimal { return decimal.RequireFromString(s) }
