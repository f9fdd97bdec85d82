package bank

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"

	"github.com/doisoat/doisoat/internal/calendar"
)

// The parts of camt.053.001.08 that a Vietnamese account statement needs.
type (
	camtDocument struct {
		XMLName   xml.Name      `xml:"Document"`
		Namespace string        `xml:"xmlns,attr"`
		MessageID string        `xml:"BkToCstmrStmt>GrpHdr>MsgId"`
		Created   string        `xml:"BkToCstmrStmt>GrpHdr>CreDtTm"`
		Statement camtStatement `xml:"BkToCstmrStmt>Stmt"`
	}
	camtStatement struct {
		ID       string        `xml:"Id"`
		Sequence int           `xml:"ElctrncSeqNb"`
		Created  string        `xml:"CreDtTm"`
		Account  string        `xml:"Acct>Id>Othr>Id"`
		Currency string        `xml:"Acct>Ccy"`
		Balances []camtBalance `xml:"Bal"`
		Entries  []camtEntry   `xml:"Ntry"`
	}
	camtAmount struct {
		Currency string `xml:"Ccy,attr"`
		Value    string `xml:",chardata"`
	}
	camtBalance struct {
		Code   string     `xml:"Tp>CdOrPrtry>Cd"`
		Amount camtAmount `xml:"Amt"`
		Sign   string     `xml:"CdtDbtInd"`
		Date   string     `xml:"Dt>Dt"`
	}
	camtEntry struct {
		Number    string     `xml:"NtryRef"`
		Amount    camtAmount `xml:"Amt"`
		Sign      string     `xml:"CdtDbtInd"`
		Status    string     `xml:"Sts>Cd"`
		Booked    string     `xml:"BookgDt>DtTm"`
		Value     string     `xml:"ValDt>Dt"`
		Reference string     `xml:"AcctSvcrRef"`
		Domain    string     `xml:"BkTxCd>Domn>Cd"`
		Family    string     `xml:"BkTxCd>Domn>Fmly>Cd"`
		SubFamily string     `xml:"BkTxCd>Domn>Fmly>SubFmlyCd"`
		Details   camtDetail `xml:"NtryDtls>TxDtls"`
	}
	camtDetail struct {
		EndToEnd string     `xml:"Refs>EndToEndId"`
		Amount   camtAmount `xml:"Amt"`
		Sign     string     `xml:"CdtDbtInd"`
		Content  []string   `xml:"RmtInf>Ustrd"`
	}
)

const (
	camtNamespace = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
	camtTime      = "2006-01-02T15:04:05-07:00"
	ustrdLength   = 140 // Max140Text: a longer content continues in the next Ustrd
)

// bankStatement prints the account's day. The opening balance is the closing
// balance of the previous day. The creation time is the time of the last entry,
// so that the same entries give the same bytes.
func (b *Side) bankStatement(account string, day calendar.Date) ([]byte, error) {
	opening := b.opening(account, day)
	closing, created := opening, day.Start()
	var entries []camtEntry
	for _, m := range b.state.Movements {
		if m.Account != account || m.Day != day {
			continue
		}
		closing += m.Amount
		if m.At.After(created) {
			created = m.At
		}
		entries = append(entries, camtEntry{
			Number: strconv.Itoa(len(entries) + 1), Amount: dong(m.Amount), Sign: "CRDT", Status: "BOOK",
			Booked: m.At.In(calendar.HoChiMinh).Format(camtTime), Value: day.String(), Reference: m.Reference,
			Domain: "PMNT", Family: "RCDT", SubFamily: "DMCT",
			Details: camtDetail{EndToEnd: "NOTPROVIDED", Amount: dong(m.Amount), Sign: "CRDT", Content: inPieces(m.Content, ustrdLength)},
		})
	}
	id := fmt.Sprintf("%s-%04d%02d%02d", account, day.Year, day.Month, day.Day)
	stamp := created.In(calendar.HoChiMinh).Format(camtTime)
	var out bytes.Buffer
	out.WriteString(xml.Header)
	err := xml.NewEncoder(&out).Encode(camtDocument{
		Namespace: camtNamespace, MessageID: fmt.Sprintf("%s-%d", id, len(entries)), Created: stamp,
		Statement: camtStatement{
			ID: id, Sequence: day.Start().YearDay(), Created: stamp, Account: account, Currency: "VND",
			Balances: []camtBalance{
				{Code: "OPBD", Amount: dong(opening), Sign: "CRDT", Date: day.String()},
				{Code: "CLBD", Amount: dong(closing), Sign: "CRDT", Date: day.String()},
			},
			Entries: entries,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encode statement: %w", err)
	}
	return append(out.Bytes(), '\n'), nil
}

func dong(amount int64) camtAmount {
	return camtAmount{Currency: "VND", Value: strconv.FormatInt(amount, 10)}
}

// inPieces cuts ASCII text into pieces of at most length characters.
func inPieces(text string, length int) []string {
	var pieces []string
	for len(text) > length {
		pieces, text = append(pieces, text[:length]), text[length:]
	}
	return append(pieces, text)
}
