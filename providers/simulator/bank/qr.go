package bank

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/providers/simulator"
)

// transferCode is the content of a VietQR, as a banking app reads it.
type transferCode struct {
	bin     string
	account string
	service string
	amount  int64 // 0 when the payer types it
	bill    string
	purpose string
}

// napasID opens the account object of every VietQR (specification 1.5.2).
const napasID = "A000000727"

// readQR reads a VietQR strictly. It requires a right checksum, exact lengths at
// every level, the format first and the checksum last, no object twice, the NAPAS
// id and VND. An amount, when there is one, must be above zero. readQR skips
// unknown objects.
func readQR(text string) (transferCode, error) {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return transferCode{}, errors.New("code holds characters other than ASCII")
		}
	}
	if len(text) < 8 || text[len(text)-8:len(text)-4] != "6304" {
		return transferCode{}, errors.New("checksum object is not last")
	}
	if want := fmt.Sprintf("%04X", checksum(text[:len(text)-4])); text[len(text)-4:] != want {
		return transferCode{}, errors.New("checksum is wrong")
	}
	top, err := readObjects(text)
	if err != nil {
		return transferCode{}, err
	}
	if !strings.HasPrefix(text, "000201") {
		return transferCode{}, errors.New("format object is not first")
	}
	if top["53"] != "704" || top["58"] != "VN" {
		return transferCode{}, errors.New("currency or country is not Viet Nam's")
	}
	napas, err := readObjects(top["38"])
	if err != nil || napas["00"] != napasID {
		return transferCode{}, errors.New("object 38 is not a NAPAS account")
	}
	receiver, err := readObjects(napas["01"])
	if err != nil {
		return transferCode{}, fmt.Errorf("object 38.01: %w", err)
	}
	extra, err := readObjects(top["62"])
	if err != nil {
		return transferCode{}, fmt.Errorf("object 62: %w", err)
	}
	code := transferCode{
		bin: receiver["00"], account: receiver["01"], service: napas["02"], bill: extra["01"], purpose: extra["08"],
	}
	if len(code.bin) != 6 || !simulator.OnlyDigits(code.bin) || code.account == "" || len(code.account) > 19 {
		return transferCode{}, errors.New("bank or account is malformed")
	}
	if amount, ok := top["54"]; ok {
		parsed, err := money.Parse(money.VND, amount)
		if err != nil || len(amount) > 13 || !parsed.IsPositive() {
			return transferCode{}, errors.New("amount is not a whole number of dong above zero")
		}
		code.amount = parsed.Minor
	}
	return code, nil
}

// readObjects reads a list of id (2 digits), length (2 digits), value.
func readObjects(text string) (map[string]string, error) {
	objects := map[string]string{}
	for text != "" {
		if len(text) < 4 || !simulator.OnlyDigits(text[:4]) {
			return nil, errors.New("object head is cut or not digits")
		}
		length, err := strconv.Atoi(text[2:4])
		if err != nil || length == 0 || len(text) < 4+length {
			return nil, errors.New("length does not fit")
		}
		id := text[:2]
		if _, twice := objects[id]; twice {
			return nil, fmt.Errorf("object %s comes twice", id)
		}
		objects[id], text = text[4:4+length], text[4+length:]
	}
	return objects, nil
}

// checksum is CRC-16/CCITT-FALSE.
func checksum(text string) uint16 {
	sum := uint16(0xFFFF)
	for i := range len(text) {
		sum ^= uint16(text[i]) << 8
		for range 8 {
			if sum&0x8000 != 0 {
				sum = sum<<1 ^ 0x1021
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}
