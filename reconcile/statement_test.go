package reconcile_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/providers/statements"
	"github.com/doisoat/doisoat/reconcile"
)

const header = "Mã website (terminal),Mã tham chiếu,Mã giao dịch VNPAY,Mã giao dịch ngân hàng,Loại,Mã giao dịch gốc," +
	"Số tiền,Phí,VAT phí,Thực nhận,Trạng thái,Thời gian,Mã đợt\n"

// csv is a settlement file of VNPAY; a row is "reference,transaction,kind,original,gross,fee,vat,net,status,batch".
func csv(rows ...string) []byte {
	var b strings.Builder
	b.WriteString(header)
	for _, r := range rows {
		f := strings.Split(r, ",")
		fmt.Fprintf(&b, "%s,%s,%s,BANK%s,%s,%s,%s,%s,%s,%s,%s,02/05/2024 10:00:00,%s\n",
			terminal, f[0], f[1], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9])
	}
	return []byte(b.String())
}

// entry is one credit (or, when negative, debit) of a bank statement.
type entry struct {
	ref     string
	amount  int64
	content string
}

// camt is a bank statement of a day.
func camt(of string, date calendar.Date, opening, closing int64, list ...entry) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `<?xml version="1.0"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr><MsgId>M</MsgId></GrpHdr>`+
		`<Stmt><Id>%s-%s</Id><Acct><Id><Othr><Id>%s</Id></Othr></Id><Ccy>VND</Ccy></Acct>`, of, date, of)
	for code, amount := range map[string]int64{"OPBD": opening, "CLBD": closing} {
		sign, amount := sides(amount)
		fmt.Fprintf(&b, `<Bal><Tp><CdOrPrtry><Cd>%s</Cd></CdOrPrtry></Tp><Amt Ccy="VND">%d</Amt><CdtDbtInd>%s</CdtDbtInd><Dt><Dt>%s</Dt></Dt></Bal>`, code, amount, sign, date)
	}
	for _, e := range list {
		sign, amount := sides(e.amount)
		fmt.Fprintf(&b, `<Ntry><Amt Ccy="VND">%d</Amt><CdtDbtInd>%s</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>%s</Dt></BookgDt><ValDt><Dt>%s</Dt></ValDt>`+
			`<AcctSvcrRef>%s</AcctSvcrRef><NtryDtls><TxDtls><RmtInf><Ustrd>%s</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>`, amount, sign, date, date, e.ref, e.content)
	}
	b.WriteString(`</Stmt></BkToCstmrStmt></Document>`)
	return []byte(b.String())
}

// sides is how camt.053 says a sum that may be below zero.
func sides(sum int64) (sign string, amount int64) {
	if sum < 0 {
		return "DBIT", -sum
	}
	return "CRDT", sum
}

// seen is what a statement answers about itself, in short.
type seen struct {
	State                    reconcile.StatementState
	Accepted, Known, Refused int
	Problems                 []string
}

func short(st reconcile.Statement) seen {
	s := seen{State: st.State, Accepted: st.RowsAccepted, Known: st.RowsKnown, Refused: st.RowsRefused}
	for _, p := range st.Problems {
		s.Problems = append(s.Problems, fmt.Sprintf("%d %s", p.Row, p.Code))
	}
	return s
}

func TestIngest(t *testing.T) {
	t.Parallel()
	ok := "DSAAAAAAAAAA,1001,PAYMENT,,100000,500,50,99450,SETTLED,B-1"
	tests := []struct {
		name, source string
		content      []byte
		want         seen
	}{
		{"settlement", settlement, csv(ok), seen{State: reconcile.Accepted, Accepted: 1}},
		{"two equal rows are two rows", settlement, csv(ok, ok), seen{State: reconcile.Accepted, Accepted: 2}},
		{
			"wrong total", settlement, append(csv(ok), []byte("Tổng cộng,1,,,,,100001,500,50,99450,,,\n")...),
			seen{State: reconcile.Rejected, Problems: []string{"3 total_mismatch"}},
		},
		{
			"wrong net", settlement, csv(ok, "DSBBBBBBBBBB,1002,PAYMENT,,100000,500,50,99451,SETTLED,B-1"),
			seen{State: reconcile.Partial, Accepted: 2, Problems: []string{"3 row_net_mismatch"}},
		},
		{"bank", bank, camt(account, day, 10, 110, entry{"F1", 100, "a"}), seen{State: reconcile.Accepted, Accepted: 1}},
		{
			"balance does not add up", bank, camt(account, day, 10, 111, entry{"F1", 100, "a"}),
			seen{State: reconcile.Rejected, Refused: 1, Problems: []string{"0 balance_mismatch"}},
		},
		{
			"another account", bank, camt("999", day, 10, 110, entry{"F1", 100, "a"}),
			seen{State: reconcile.Rejected, Refused: 1, Problems: []string{"0 wrong_account"}},
		},
		{
			"cut off", bank, camt(account, day, 10, 110, entry{"F1", 100, "a"})[:700],
			seen{State: reconcile.Rejected, Problems: []string{"0 broken_xml"}},
		},
		{
			"settlement given as bank", bank, csv(ok),
			seen{State: reconcile.Rejected, Refused: 1, Problems: []string{"0 wrong_format", "0 wrong_account"}},
		},
		{"nothing", bank, nil, seen{State: reconcile.Rejected, Problems: []string{"0 empty_file"}}},
	}
	w := newWorld(t)
	for _, tt := range tests {
		same(t, tt.name+", dry", short(dry(w, tt.source, tt.content)), tt.want)
	}
	same(t, "statements after dry runs", w.count(`select count(*) from reconcile.statement`), 0)
	for i, tt := range tests {
		content := bytes.ReplaceAll(tt.content, []byte("DVCTEST1"), fmt.Appendf(nil, "DVCTEST%d", i)) // lines of their own
		got := short(w.ingest(tt.source, content))
		got.Known = 0
		same(t, tt.name, got, tt.want)
	}
	same(t, "statements", w.count(`select count(*) from reconcile.statement`), len(tests))
	same(t, "lines", w.count(`select count(*) from reconcile.statement_line`), 6)
	same(t, "clear text of files and contents", w.count(`
		select count(*) from reconcile.statement s left join reconcile.statement_line l on l.statement_id = s.id
		where position('Ntry'::bytea in s.file) > 0 or position('BANK'::bytea in s.file) > 0 or position('"content"'::bytea in l.content) > 0`), 0)
}

func dry(w *world, source string, content []byte) reconcile.Statement {
	w.t.Helper()
	st, err := w.Ingest(w.t.Context(), accountant, source, "f", content, true, "")
	w.ok(err)
	if !st.ID.IsZero() {
		w.t.Errorf("dry run: got id %s, want none", st.ID)
	}
	return st
}

func TestIngestAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := entry{"F1", 100, "tien le phi"}, entry{"F2", 50, "nop ho so"}
	morning := camt(account, day, 0, 100, one)
	first := w.ingest(bank, morning)
	again := w.ingest(bank, morning)
	if again.ID != first.ID || again.DuplicateOf != first.ID || again.State != reconcile.Duplicate {
		t.Errorf("same bytes: got %s of %s, %s, want the first", again.ID, again.DuplicateOf, again.State)
	}
	// The whole day repeats the morning, whose equal entry came twice meanwhile.
	whole := w.ingest(bank, camt(account, day, 0, 250, one, one, two))
	same(t, "overlap", short(whole), seen{State: reconcile.Accepted, Accepted: 3, Known: 1})
	lines, next, err := w.ListLines(t.Context(), accountant, whole.ID, reconcile.LineID{}, 1)
	w.ok(err)
	if len(lines) != 1 || next.IsZero() || lines[0].Content != one.content || lines[0].State != reconcile.LineOpen {
		t.Errorf("first page: got %+v, next %s", lines, next)
	}
	lines, next, err = w.ListLines(t.Context(), accountant, whole.ID, next, 1)
	w.ok(err)
	if len(lines) != 1 || !next.IsZero() || lines[0].Content != two.content {
		t.Errorf("second page: got %+v, next %s", lines, next)
	}
	found, err := w.FindStatement(t.Context(), accountant, whole.ID)
	w.ok(err)
	opening, closing := int64(0), int64(250)
	same(t, "totals", found.Totals, []reconcile.ControlTotal{{
		Account: account, Currency: "VND", From: day, To: day, Opening: &opening, Closing: &closing, Entries: 3, SumCredit: 250,
		BalanceCheck: statements.CheckOK,
	}})
	list, _, err := w.ListStatements(t.Context(), accountant, bank, reconcile.StatementID{}, 0)
	w.ok(err)
	same(t, "list", len(list), 2)
	if _, err := w.Ingest(t.Context(), accountant, bank, "f", camt(account, day, 0, 1, entry{"F7", 1, ""}), false, "key-1"); err != nil {
		t.Error(err)
	}
	if _, err := w.Ingest(t.Context(), accountant, bank, "f", camt(account, day, 0, 2, entry{"F8", 2, ""}), false, "key-1"); !reconcile.ErrKeyReused.Is(err) {
		t.Errorf("key for other bytes: got %v, want %v", err, reconcile.ErrKeyReused)
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	run := w.run(bank, day)
	tests := []struct {
		name string
		do   func() error
		want error
	}{
		{"ingest as portal", func() error { _, err := w.Ingest(ctx, portal, bank, "f", nil, false, ""); return err }, auth.ErrForbidden},
		{"run as chief", func() error { _, _, err := w.StartRun(ctx, chief, bank, day); return err }, auth.ErrForbidden},
		{"close as maker", func() error { _, err := w.CloseRun(ctx, accountant, run.ID); return err }, auth.ErrForbidden},
		{"source as accountant", func() error { _, _, err := w.RegisterSource(ctx, accountant, reconcile.SourceRequest{}); return err }, auth.ErrForbidden},
		{"unknown source", func() error { _, _, err := w.StartRun(ctx, accountant, "no", day); return err }, reconcile.ErrUnknownSource},
		{"tomorrow", func() error { _, _, err := w.StartRun(ctx, accountant, bank, day.AddDays(1)); return err }, reconcile.ErrInvalid},
		{"run of another province", func() error {
			_, err := w.FindRun(ctx, auth.System("H26"), run.ID)
			return err
		}, reconcile.ErrUnknownRun},
		{"source with other content", func() error {
			_, _, err := w.RegisterSource(ctx, admin, reconcile.SourceRequest{Code: bank, Kind: reconcile.BankSource, Account: "1"})
			return err
		}, reconcile.ErrSourceExists},
		{"source without its account", func() error {
			_, _, err := w.RegisterSource(ctx, admin, reconcile.SourceRequest{Code: "x", Kind: reconcile.BankSource})
			return err
		}, reconcile.ErrInvalid},
	}
	for _, tt := range tests {
		if err := tt.do(); err == nil || !strings.HasPrefix(err.Error(), strings.SplitN(tt.want.Error(), ":", 2)[0]) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	if _, created, err := w.RegisterSource(ctx, admin, reconcile.SourceRequest{Code: bank, Kind: reconcile.BankSource, Account: account}); err != nil || created {
		t.Errorf("same source again: created %t, %v", created, err)
	}
	list, _, err := w.ListSources(ctx, accountant, "", 0)
	if err != nil || len(list) != 2 {
		t.Errorf("sources: got %d, %v, want 2", len(list), err)
	}
}
