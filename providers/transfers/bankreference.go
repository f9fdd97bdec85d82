package transfers

import (
	"strings"

	"github.com/doisoat/doisoat/internal/text"
)

// minBankNumber is the least length of a bank's number of a transaction.
const minBankNumber = 6

// BankReference returns the bank's number of a transaction in the spelling by
// which two messages about one credit compare equal. Banks and notifiers wrap the
// number differently: "FT24123000001", "ft24123000001", "MBVCB.FT24123000001" and
// `FT24123000001\BNK` are one number. It returns the longest word with a digit, in
// capitals. A text without such a word of minBankNumber characters keeps all its
// letters and digits.
func BankReference(written string) string {
	upper := strings.ToUpper(text.Fold(written))
	words := strings.FieldsFunc(upper, func(r rune) bool { return !isCodeCharacter(r) })
	longest := ""
	for _, word := range words {
		if len(word) > len(longest) && strings.ContainsAny(word, "0123456789") {
			longest = word
		}
	}
	if len(longest) < minBankNumber {
		return strings.Join(words, "")
	}
	return longest
}
