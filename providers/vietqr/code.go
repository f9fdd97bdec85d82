package vietqr

import (
	"strings"

	"github.com/doisoat/doisoat/internal/money"
)

// Words of the NAPAS specification 1.5.2.
const (
	napasID     = "A000000727"
	toAccount   = "QRIBFTTA"
	crcObject   = "6304"
	maxAccount  = 19
	maxAmount   = 13
	maxSubfield = 25
)

// Code is a VietQR code.
type Code struct {
	Static    bool   // payers may pay it several times
	BIN       string // bank
	Account   string // account or card
	Service   string // QRIBFTTA account, QRIBFTTC card, QRPUSH purchase, QRCASH cash
	Amount    money.Amount
	Merchant  string
	City      string
	Bill      string
	Reference string
	Purpose   string // the transfer's text
}

// Parse reads a code strictly. It requires a right checksum, exact lengths at
// every level, the format first and the checksum last, and a known bank. An
// amount, when there is one, must be above zero. Parse skips unknown objects and
// fails with ErrCode for every other fault.
func Parse(payload string) (Code, error) {
	objects, err := parseEnvelope(payload)
	if err != nil {
		return Code{}, err
	}
	c := Code{Merchant: find(objects, "59"), City: find(objects, "60")}
	switch find(objects, "01") {
	case "11":
		c.Static = true
	case "12", "":
	default:
		return Code{}, ErrCode.With("code is neither static nor for one use")
	}
	if find(objects, "53") != "704" || find(objects, "58") != "VN" {
		return Code{}, ErrCode.With("currency is not VND or country is not VN")
	}
	if err := c.readAccount(find(objects, "38")); err != nil {
		return Code{}, err
	}
	if text := find(objects, "54"); text != "" {
		amount, err := money.Parse(money.VND, text)
		if err != nil || len(text) > maxAmount || !amount.IsPositive() || strings.ContainsAny(text, "+-") {
			return Code{}, ErrCode.With("amount is not a positive number of đồng")
		}
		c.Amount = amount
	}
	if extra := find(objects, "62"); extra != "" {
		fields, err := parseObjects(extra)
		if err != nil {
			return Code{}, err
		}
		for _, f := range fields {
			if len([]rune(f.value)) > maxSubfield && f.id <= "08" {
				return Code{}, ErrCode.With("object 62.%s is longer than %d", f.id, maxSubfield)
			}
		}
		c.Bill, c.Reference, c.Purpose = find(fields, "01"), find(fields, "05"), find(fields, "08")
	}
	return c, nil
}

// parseEnvelope checks the rules of every EMVCo code: the checksum, the format
// as first object and the checksum as last object.
func parseEnvelope(payload string) ([]object, error) {
	if len(payload) < len(crcObject)+4 {
		return nil, ErrCode.With("code is too short")
	}
	body, crc := payload[:len(payload)-4], payload[len(payload)-4:]
	if !strings.HasSuffix(body, crcObject) {
		return nil, ErrCode.With("code does not end with its checksum")
	}
	if checksum(body) != crc {
		return nil, ErrCode.With("checksum is wrong")
	}
	objects, err := parseObjects(payload)
	if err != nil {
		return nil, err
	}
	if objects[0] != (object{"00", "01"}) || objects[len(objects)-1].id != "63" {
		return nil, ErrCode.With("code does not start with format 01 or end with object 63")
	}
	return objects, nil
}

func (c *Code) readAccount(napas string) error {
	outer, err := parseObjects(napas)
	if err != nil {
		return err
	}
	if find(outer, "00") != napasID {
		return ErrCode.With("object 38 does not name NAPAS")
	}
	inner, err := parseObjects(find(outer, "01"))
	if err != nil {
		return err
	}
	c.BIN, c.Account, c.Service = find(inner, "00"), find(inner, "01"), find(outer, "02")
	if BankName(c.BIN) == "" {
		return ErrCode.With("bank %s is not known", c.BIN)
	}
	if c.Account == "" || len(c.Account) > maxAccount || !isCode(c.Account) {
		return ErrCode.With("account is not 1 to %d letters and digits", maxAccount)
	}
	return nil
}

// Payload writes a code in the order of the specification's samples. It writes
// only ASCII, because readers count the length of other characters differently.
// ErrCode names the part that does not fit.
func (c Code) Payload() (string, error) {
	if BankName(c.BIN) == "" || len(c.Account) > maxAccount || !isCode(c.Account) {
		return "", ErrCode.With("bank or account does not fit a VietQR code")
	}
	amount := ""
	if !c.Amount.IsZero() {
		amount = c.Amount.Decimal().String()
		if c.Amount.Currency != money.VND || !c.Amount.IsPositive() || len(amount) > maxAmount {
			return "", ErrCode.With("amount does not fit a VietQR code")
		}
	}
	for _, text := range []string{c.Bill, c.Reference, c.Purpose, c.Merchant} {
		if len(text) > maxSubfield || !isPrintable(text) {
			return "", ErrCode.With("text is not at most %d ASCII characters", maxSubfield)
		}
	}
	if len(c.City) > 15 || !isPrintable(c.City) || !isCode(c.Service) || len(c.Service) > maxSubfield {
		return "", ErrCode.With("city or service does not fit a VietQR code")
	}
	initiation := "12"
	if c.Static {
		initiation = "11"
	}
	var inner, napas, extra, b strings.Builder
	writeObject(&inner, "00", c.BIN)
	writeObject(&inner, "01", c.Account)
	writeObject(&napas, "00", napasID)
	writeObject(&napas, "01", inner.String())
	writeObject(&napas, "02", c.Service)
	writeObject(&extra, "01", c.Bill)
	writeObject(&extra, "05", c.Reference)
	writeObject(&extra, "08", c.Purpose)
	for _, o := range []object{
		{"00", "01"},
		{"01", initiation},
		{"38", napas.String()},
		{"53", "704"},
		{"54", amount},
		{"58", "VN"},
		{"59", c.Merchant},
		{"60", c.City},
		{"62", extra.String()},
	} {
		writeObject(&b, o.id, o.value)
	}
	b.WriteString(crcObject)
	return b.String() + checksum(b.String()), nil
}

func isCode(text string) bool {
	for i := range len(text) {
		c := text[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return text != ""
}

func isPrintable(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
