package ledger_test

import (
	"encoding/hex"
	"testing"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
)

// The digests in a book are compared for ever: what they are of must not change
// with the code. These were written by the first version of it.
func TestDigestsStay(t *testing.T) {
	t.Parallel()
	id := func(s string) uuid.UUID { return uuid.MustParse(s) }
	about := ledger.Dimensions{
		Dossier: id("0199a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"), Payment: id("0199a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2c"),
		Refund: id("0199a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2d"), Charge: id("0199a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2e"),
		FeeType: "LP-HOTICH", Policy: `NQ "31"/2023 – Nghệ An` + "\x00\t",
	}
	plain := ledger.Entry{
		Authority: "H41", Cause: ledger.Cause{Kind: "capture", ID: "cap_1", Event: "captured"},
		Postings: []ledger.Posting{
			ledger.Dr(ledger.Clearing("vnpay"), money.Dong(50_000), ledger.Dimensions{}),
			ledger.Cr(ledger.ProvisionalLePhi, money.Dong(50_000), about),
		},
	}
	corrects := plain
	corrects.Corrects, corrects.Cause.Event = ledger.EntryID(id("0199a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2f")), "cor\"rected\nđã"
	reverses := plain
	reverses.Reverses = ledger.EntryID(id("0199a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2f"))
	for want, e := range map[string]ledger.Entry{
		"55fd08ec6f361ab9f4d5d10eea4c141c6dafbaf59c58e10479d1a8cd8a96686e": plain,
		"fa81b41fba8f2e36c7c40350da2cf3c7f588c3803a98fbeb8cacc3ef52eaea77": corrects,
		"1979e013732523f5dcf927ba13883eb86027bbf3e8557de84d4a228d243192f1": reverses,
	} {
		if got := hex.EncodeToString(ledger.Digest(e)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
