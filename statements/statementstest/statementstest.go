// Package statementstest writes the files that banks and providers issue, for
// tests of the rooms that read them.
package statementstest

import (
	"fmt"
	"strings"

	"github.com/doisoat/doisoat/internal/calendar"
)

const header = "Mã website (terminal),Mã tham chiếu,Mã giao dịch VNPAY,Mã giao dịch ngân hàng,Loại,Mã giao dịch gốc," +
	"Số tiền,Phí,VAT phí,Thực nhận,Trạng thái,Thời gian,Mã đợt\n"

// Settlement is a file of VNPAY for one terminal. A row is
// "reference,transaction,kind,original,gross,fee,vat,net,status,batch".
func Settlement(terminal string, rows ...string) []byte {
	var b strings.Builder
	b.WriteString(header)
	for _, r := range rows {
		f := strings.Split(r, ",")
		fmt.Fprintf(&b, "%s,%s,%s,BANK%s,%s,%s,%s,%s,%s,%s,%s,02/05/2024 10:00:00,%s\n",
			terminal, f[0], f[1], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9])
	}
	return []byte(b.String())
}

// Entry is one credit (or, when negative, debit) of a bank statement.
type Entry struct {
	Ref     string
	Amount  int64
	Content string
}

// Bank is the camt.053 statement of an account and a day.
func Bank(account string, date calendar.Date, opening, closing int64, list ...Entry) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `<?xml version="1.0"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">`+
		`<BkToCstmrStmt><GrpHdr><MsgId>M</MsgId></GrpHdr>`+
		`<Stmt><Id>%s-%s</Id><Acct><Id><Othr><Id>%s</Id></Othr></Id><Ccy>VND</Ccy></Acct>`, account, date, account)
	for code, amount := range map[string]int64{"OPBD": opening, "CLBD": closing} {
		sign, amount := sides(amount)
		fmt.Fprintf(&b, `<Bal><Tp><CdOrPrtry><Cd>%s</Cd></CdOrPrtry></Tp><Amt Ccy="VND">%d</Amt><CdtDbtInd>%s</CdtDbtInd>`+
			`<Dt><Dt>%s</Dt></Dt></Bal>`, code, amount, sign, date)
	}
	for _, e := range list {
		sign, amount := sides(e.Amount)
		fmt.Fprintf(&b, `<Ntry><Amt Ccy="VND">%d</Amt><CdtDbtInd>%s</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>`+
			`<BookgDt><Dt>%s</Dt></BookgDt><ValDt><Dt>%s</Dt></ValDt>`+
			`<AcctSvcrRef>%s</AcctSvcrRef><NtryDtls><TxDtls><RmtInf><Ustrd>%s</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>`,
			amount, sign, date, date, e.Ref, e.Content)
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
