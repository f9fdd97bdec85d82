package seal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/doisoat/doisoat/internal/canonical"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/ledger"
)

// headerForm names the form of a header inside what is hashed. It is the same in
// all versions: those differ in how a leaf comes from its entry.
const headerForm = "doisoat block 1"

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
	Totals    Totals    `db:"totals"     json:"totals"`

	// How far the sealer had come, in the transaction numbers of a cluster.
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

// Totals are in the order of currencies, real before memo. The table keeps them
// as text, one total a line: currency, real or memo, debits, credits.
type Totals []Total

func (t Totals) text() string {
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

// TextValue lets pgx write the column.
func (t Totals) TextValue() (pgtype.Text, error) {
	return pgtype.Text{String: t.text(), Valid: true}, nil
}

// ScanText lets pgx read the column. Text that is not exactly what was once
// written gives none, which the hash of the header then shows.
func (t *Totals) ScanText(v pgtype.Text) error {
	*t = Totals{}
	for line := range strings.Lines(v.String) {
		var (
			total Total
			class string
		)
		if _, err := fmt.Sscanf(line, "%s %s %d %d", &total.Currency, &class, &total.Debits, &total.Credits); err != nil {
			break
		}
		total.Memo = class == "memo"
		*t = append(*t, total)
	}
	if t.text() != v.String {
		*t = nil
	}
	return nil
}

// add returns the totals of both. It fails when a sum passes int64.
func (t Totals) add(other Totals) (Totals, error) {
	sum := tally{totals: slices.Clone(t)}
	for _, o := range other {
		at := sum.find(o.Currency, o.Memo)
		if err := errors.Join(increase(&at.Debits, o.Currency, o.Debits), increase(&at.Credits, o.Currency, o.Credits)); err != nil {
			return nil, err
		}
	}
	return sum.totals, nil
}

func increase(sum *int64, currency string, by int64) error {
	total, err := money.Amount{Currency: money.Currency(currency), Minor: *sum}.Add(money.Amount{Currency: money.Currency(currency), Minor: by})
	*sum = total.Minor
	return err
}

// headerHash is the hash of all fields but Hash, in the order of docs/sealing.md.
func (b *Block) headerHash() Hash {
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

// follows tells what is wrong with b as the block after previous (nil before
// the first), or "".
func (b *Block) follows(previous *Block) string {
	var want Block
	if previous != nil {
		want = *previous
	}
	switch {
	case b.Version != ledger.FormWithTx && b.Version != version:
		return "has an unknown version"
	case b.headerHash() != b.Hash:
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

// tally sums what a block holds while its entries pass.
type tally struct {
	postings int64
	totals   Totals
}

// add counts one entry. It fails when a sum passes int64: far above all money there is.
func (t *tally) add(r *ledger.Record) error {
	t.postings += int64(len(r.Postings))
	for i := range r.Postings {
		p := &r.Postings[i]
		at := t.find(p.Currency, p.Memo)
		side := &at.Debits
		if p.Side == ledger.Credit {
			side = &at.Credits
		}
		if err := increase(side, p.Currency, p.Amount); err != nil {
			return err
		}
	}
	return nil
}

// find returns the total of a currency and class; they stand in the order of
// currencies, real before memo, so that equal blocks have equal headers.
func (t *tally) find(currency string, memo bool) *Total {
	i := 0
	for ; i < len(t.totals); i++ {
		have := &t.totals[i]
		if have.Currency == currency && have.Memo == memo {
			return have
		}
		if have.Currency > currency || (have.Currency == currency && have.Memo && !memo) {
			break
		}
	}
	t.totals = append(t.totals, Total{})
	copy(t.totals[i+1:], t.totals[i:])
	t.totals[i] = Total{Currency: currency, Memo: memo}
	return &t.totals[i]
}
