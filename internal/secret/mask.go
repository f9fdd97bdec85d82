package secret

import "strings"

const (
	maskShown  = 4 // how many last characters stay
	maskHidden = 8 // bullets, whatever the length: it would narrow the guess
)

// Mask returns s for screens and exports: eight bullets and the last four
// characters, or bullets alone when s is so short that four would give away
// half of it. Empty stays empty.
func Mask(s string) string {
	if s == "" {
		return ""
	}
	runes := []rune(s)
	shown := ""
	if len(runes) > 2*maskShown {
		shown = string(runes[len(runes)-maskShown:])
	}
	return strings.Repeat("•", maskHidden) + shown
}
