package vietqr

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/doisoat/doisoat/internal/fault"
)

// ErrCode: the text is not a VietQR code that a strict reader accepts.
var ErrCode = fault.New(fault.Invalid, "vietqr.code", "text is not a valid VietQR code")

// object is one element of a code: two digits of id, two digits of length, value.
type object struct {
	id, value string
}

// maxPayload limits the characters of a code: the specification allows 512.
const maxPayload = 512

// parseObjects cuts text into objects. Lengths count characters and must fit
// exactly. Each id may appear only once.
func parseObjects(text string) ([]object, error) {
	if len(text) > maxPayload*utf8.UTFMax || !utf8.ValidString(text) {
		return nil, ErrCode.With("code is too long or not UTF-8")
	}
	rest := []rune(text)
	var objects []object
	seen := map[string]bool{}
	for len(rest) > 0 {
		if len(rest) < 4 {
			return nil, ErrCode.With("code ends inside an object")
		}
		id := string(rest[:2])
		tens, ones := digit(rest[2]), digit(rest[3])
		if digit(rest[0]) < 0 || digit(rest[1]) < 0 || tens < 0 || ones < 0 {
			return nil, ErrCode.With("id or length of an object is not two digits")
		}
		length := 10*tens + ones
		if length == 0 || len(rest) < 4+length {
			return nil, ErrCode.With("length of object %s does not fit", id)
		}
		if seen[id] {
			return nil, ErrCode.With("object %s is given twice", id)
		}
		seen[id] = true
		objects = append(objects, object{id, string(rest[4 : 4+length])})
		rest = rest[4+length:]
	}
	return objects, nil
}

func digit(r rune) int {
	if r < '0' || r > '9' {
		return -1
	}
	return int(r - '0')
}

// writeObject appends an object. For an empty value it writes nothing, because
// the specification allows no empty object. Callers pass at most 99 characters.
func writeObject(b *strings.Builder, id, value string) {
	if value != "" {
		fmt.Fprintf(b, "%s%02d%s", id, utf8.RuneCountInString(value), value)
	}
}

func find(objects []object, id string) string {
	for _, o := range objects {
		if o.id == id {
			return o.value
		}
	}
	return ""
}

// checksum is CRC-16/CCITT-FALSE as four upper-case hex digits: polynomial
// 0x1021, start 0xFFFF, no reflection, no final xor, over bytes.
func checksum(text string) string {
	crc := uint16(0xFFFF)
	for i := range len(text) {
		crc ^= uint16(text[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return fmt.Sprintf("%04X", crc)
}
