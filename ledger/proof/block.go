package proof

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/internal/canonical"
	"github.com/doisoat/doisoat/internal/money"
)

const headerForm = "doisoat block 1"

// Version is the version of every block. A new form of entries or headers makes a new version.
const Version = 1

// Block is the header of one block: every column of its row.
type Block struct {
	Authority string    `db:"authority"  json:"authority"`
	Number    int64     `db:"number"     json:"number"` // from 1, without gaps
	Version   int16     `db:"version"    json:"version"`
	SealedAt  time.Time `db:"sealed_at"  json:"sealed_at"`
	Previous  Hash      `db:"previous"   json:"previous"` // hash of block number-1; zeros in the first
	Root      Hash      `db:"root"       json:"root"`     // of the Merkle tree of its entries
	First     int64     `db:"first"      json:"first"`    // entries in all blocks before it
	Entries   int32     `db:"entries"    json:"entries"`
	Postings  int64     `db:"postings"   json:"postings"`
	Totals    Totals    `db:"-"          json:"totals"`

	// The place that the sealer reached, in the transaction numbers of Cluster.
	Cluster   string    `db:"cluster"    json:"cluster"`
	ReachedTx int64     `db:"reached_tx" json:"reached_tx"`
	ReachedID uuid.UUID `db:"reached_id" json:"reached_id"`
	ResumeTx  *int64    `db:"resume_tx"  json:"resume_tx"`

	Hash Hash `db:"hash" json:"hash"`
}

// Total sums the postings of a block, real and memo apart, per currency, in minor units.
type Total struct {
	Currency string `json:"currency"`
	Memo     bool   `json:"memo"`
	Debits   int64  `json:"debits"`
	Credits  int64  `json:"credits"`
}

// Totals are in the order of currencies, real before memo.
type Totals []Total

// Text returns one line per total: currency, real or memo, debits, credits.
func (t Totals) Text() string {
	var b strings.Builder
	for _, total := range t {
		class := "real"
		if total.Memo {
			class = "memo"
		}
		fmt.Fprintf(&b, "%s %s %d %d\n", total.Currency, class, total.Debits, total.Credits)
	}
	return b.String()
}

// ParseTotals reads a Text. A damaged text gives no totals, and the block then
// fails the comparison with its hash.
func ParseTotals(text string) Totals {
	t := Totals{}
	for line := range strings.Lines(text) {
		var (
			total Total
			class string
		)
		if _, err := fmt.Sscanf(line, "%s %s %d %d", &total.Currency, &class, &total.Debits, &total.Credits); err != nil {
			break
		}
		total.Memo = class == "memo"
		t = append(t, total)
	}
	if t.Text() != text {
		return nil
	}
	return t
}

// Add returns the totals of both. It fails when a sum exceeds int64.
func (t Totals) Add(other Totals) (Totals, error) {
	sum := Tally{Totals: slices.Clone(t)}
	for _, o := range other {
		at := sum.Total(o.Currency, o.Memo)
		if err := errors.Join(increase(&at.Debits, o.Currency, o.Debits), increase(&at.Credits, o.Currency, o.Credits)); err != nil {
			return nil, err
		}
	}
	return sum.Totals, nil
}

func increase(sum *int64, currency string, by int64) error {
	amount := func(minor int64) money.Amount { return money.Amount{Currency: money.Currency(currency), Minor: minor} }
	total, err := amount(*sum).Add(amount(by))
	*sum = total.Minor
	return err
}

// HeaderHash is the hash of all fields but Hash, in the order of docs/sealing.md.
func (b *Block) HeaderHash() Hash {
	var c canonical.Form
	c.Text(headerForm)
	c.Text(b.Authority)
	c.Number(b.Number)
	c.Number(int64(b.Version))
	c.Instant(b.SealedAt)
	c.Bytes(b.Previous[:])
	c.Bytes(b.Root[:])
	c.Number(b.First)
	c.Number(int64(b.Entries))
	c.Number(b.Postings)
	c.Number(int64(len(b.Totals)))
	for _, t := range b.Totals {
		c.Text(t.Currency)
		c.Flag(t.Memo)
		c.Number(t.Debits)
		c.Number(t.Credits)
	}
	c.Text(b.Cluster)
	c.Number(b.ReachedTx)
	c.Bytes(b.ReachedID[:])
	if b.ResumeTx == nil {
		c.Null()
	} else {
		c.Number(*b.ResumeTx)
	}
	return sha256.Sum256(append([]byte{headerPrefix}, c...))
}

// Follows returns the reason why b cannot be the block after previous (nil before
// the first), or "".
func (b *Block) Follows(previous *Block) string {
	var want Block
	if previous != nil {
		want = *previous
	}
	switch {
	case b.Version != Version:
		return "has an unknown version"
	case b.HeaderHash() != b.Hash:
		return "has a header that was changed"
	case b.Number != want.Number+1:
		return "does not stand behind its predecessor: a block is missing"
	case b.Previous != want.Hash:
		return "does not carry the hash of the block before it"
	case b.First != want.First+int64(want.Entries):
		return "does not start where the block before it ends"
	case previous != nil && (b.SealedAt.Before(want.SealedAt) || b.Authority != want.Authority):
		return "does not continue the block before it"
	}
	return ""
}

// Tally counts and sums the postings of a block, entry by entry.
type Tally struct {
	Postings int64
	Totals   Totals
}

// Add counts one entry. It fails when a sum exceeds int64.
func (t *Tally) Add(e *Entry) error {
	t.Postings += int64(len(e.Postings))
	for i := range e.Postings {
		p := &e.Postings[i]
		at := t.Total(p.Currency, p.Memo)
		side := &at.Debits
		if p.Side == credit {
			side = &at.Credits
		}
		if err := increase(side, p.Currency, p.Amount); err != nil {
			return err
		}
	}
	return nil
}

// Matches reports whether the header of b has these sums.
func (t *Tally) Matches(b *Block) bool {
	return t.Postings == b.Postings && t.Totals.Text() == b.Totals.Text()
}

// Total returns the total of a currency and class, and adds an empty one at its
// place when it is absent: equal blocks need equal headers.
func (t *Tally) Total(currency string, memo bool) *Total {
	i := 0
	for ; i < len(t.Totals); i++ {
		have := &t.Totals[i]
		if have.Currency == currency && have.Memo == memo {
			return have
		}
		if have.Currency > currency || (have.Currency == currency && have.Memo && !memo) {
			break
		}
	}
	t.Totals = slices.Insert(t.Totals, i, Total{Currency: currency, Memo: memo})
	return &t.Totals[i]
}
