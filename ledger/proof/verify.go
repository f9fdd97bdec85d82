package proof

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// longestLine bounds a line of an exported book: an entry of the most postings that the ledger takes.
const longestLine = 32 << 20

// Verified tells what a verified book holds.
type Verified struct {
	Authority string `json:"authority"`
	Exported
	Totals Totals `json:"totals"`
}

// errBook wraps what VerifyBook finds.
var errBook = errors.New("the book is not what was sealed")

// VerifyBook reads a book that Export wrote and computes every hash anew,
// without a database: each byte of each line, each entry's balance, each root,
// the chain and its end. heads are hashes of daily proofs that the chain must
// contain; without one a book that was forged as a whole, or ends too early,
// looks well. It stops at the first wrong line and names it. One block's hashes
// are in memory. passed (or nil) is told of entries as they are done.
func VerifyBook(r io.Reader, heads []Hash, passed func(entries int)) (Verified, error) {
	v := verifier{wanted: map[Hash]bool{}}
	for _, h := range heads {
		v.wanted[h] = true
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 1<<16), longestLine)
	for lines.Scan() {
		v.line++
		if err := v.read(lines.Bytes()); err != nil {
			return v.done, fmt.Errorf("%w: line %d: %w", errBook, v.line, err)
		}
		if passed != nil && v.block != nil && len(v.leaves) > 0 {
			passed(1)
		}
	}
	if err := lines.Err(); err != nil {
		return v.done, fmt.Errorf("%w: line %d: %w", errBook, v.line+1, err)
	}
	if !v.ended {
		return v.done, fmt.Errorf("%w: it ends before its last line", errBook)
	}
	for _, h := range heads {
		if v.wanted[h] {
			return v.done, fmt.Errorf("%w: no block has the hash %s", errBook, h)
		}
	}
	return v.done, nil
}

type verifier struct {
	done   Verified
	wanted map[Hash]bool // heads not seen yet
	line   int
	block  *Block // whose entries are being read
	last   *Block
	leaves []Hash
	sum    Tally
	hash   Hasher
	ended  bool
}

// read takes one line. The line written anew must be the line read: what JSON
// would pass over, such as a space or a name that nobody knows, is a change too.
func (v *verifier) read(line []byte) error {
	if v.ended {
		return errors.New("there is more behind the end")
	}
	if v.line == 1 {
		var head bookHead
		if err := exactly(line, &head); err != nil {
			return err
		}
		if head.Format != bookFormat {
			return fmt.Errorf("the format is %q, want %q", head.Format, bookFormat)
		}
		v.done.Authority = head.Authority
		return nil
	}
	switch {
	case bytes.HasPrefix(line, []byte(`{"leaf":`)):
		e := bookEntry{}
		if err := exactly(line, &e); err != nil {
			return err
		}
		return v.entry(e.Leaf, e.Entry)
	case bytes.HasPrefix(line, []byte(`{"block":`)):
		b := bookBlock{}
		if err := exactly(line, &b); err != nil {
			return err
		}
		return v.begin(b.Block)
	default:
		end := bookEnd{}
		if err := exactly(line, &end); err != nil {
			return err
		}
		return v.end(end.End)
	}
}

func exactly(line []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("unreadable: %w", err)
	}
	again, err := json.Marshal(into)
	if err != nil {
		return fmt.Errorf("unreadable: %w", err)
	}
	if !bytes.Equal(again, line) {
		return errors.New("it is not written as an export writes it")
	}
	return nil
}

// begin takes the header of the next block.
func (v *verifier) begin(b *Block) error {
	if b == nil {
		return errors.New("the block is empty")
	}
	if err := v.finish(); err != nil {
		return err
	}
	if wrong := b.Follows(v.last); wrong != "" {
		return fmt.Errorf("block %d %s", b.Number, wrong)
	}
	if !whole(b.SealedAt) || b.Authority != v.done.Authority {
		return fmt.Errorf("block %d is of another authority or time", b.Number)
	}
	delete(v.wanted, b.Hash)
	v.block = b
	return nil
}

func (v *verifier) entry(told Hash, r *Entry) error {
	if r == nil || v.block == nil {
		return errors.New("an entry stands outside of a block")
	}
	if len(v.leaves) >= int(v.block.Entries) {
		return fmt.Errorf("entry %s is one more than block %d has", r.ID, v.block.Number)
	}
	if err := sound(r); err != nil {
		return fmt.Errorf("entry %s of block %d, place %d: %w", r.ID, v.block.Number, len(v.leaves), err)
	}
	if v.hash.leaf(r) != told {
		return fmt.Errorf("entry %s of block %d, place %d, does not have the hash of its leaf", r.ID, v.block.Number, len(v.leaves))
	}
	v.leaves = append(v.leaves, told)
	return v.sum.Add(r)
}

// finish closes the block whose entries were read.
func (v *verifier) finish() error {
	b := v.block
	if b == nil {
		return nil
	}
	if len(v.leaves) != int(b.Entries) {
		return fmt.Errorf("block %d has %d entries and its header says %d", b.Number, len(v.leaves), b.Entries)
	}
	if Root(v.leaves) != b.Root {
		return fmt.Errorf("block %d: its entries do not lead to its root", b.Number)
	}
	if !v.sum.Matches(b) {
		return fmt.Errorf("block %d: its postings do not add up to its header", b.Number)
	}
	var err error
	v.done.Totals, err = v.done.Totals.Add(b.Totals)
	v.done.Blocks, v.done.Head = b.Number, b.Hash
	v.done.Entries += int64(b.Entries)
	v.done.Postings += b.Postings
	v.last, v.block, v.leaves, v.sum = b, nil, v.leaves[:0], Tally{}
	return err
}

func (v *verifier) end(told *Exported) error {
	if err := v.finish(); err != nil {
		return err
	}
	if told == nil || *told != v.done.Exported {
		return errors.New("the end does not agree with what stands before it")
	}
	v.ended = true
	return nil
}

// sound judges an entry by itself: its lines are there and balance, real and
// memo apart, per currency.
func sound(r *Entry) error {
	if !whole(r.RecordedAt) {
		return errors.New("its time is not in whole microseconds of UTC")
	}
	if len(r.Postings) != int(r.Count) {
		return fmt.Errorf("it has %d postings and announces %d", len(r.Postings), r.Count)
	}
	var sum Tally
	for i := range r.Postings {
		p := &r.Postings[i]
		if p.Authority != r.Authority || p.BusinessDate != r.BusinessDate || int(p.Line) != i+1 || p.Amount <= 0 ||
			(p.Side != debit && p.Side != credit) {
			return fmt.Errorf("posting %d does not belong to it", p.Line)
		}
	}
	if err := sum.Add(r); err != nil {
		return err
	}
	for _, t := range sum.Totals {
		if t.Debits != t.Credits {
			return fmt.Errorf("it is off by %d %s (memo: %t)", t.Debits-t.Credits, t.Currency, t.Memo)
		}
	}
	return nil
}

// whole says that a time has no more than what is hashed of it.
func whole(t time.Time) bool {
	return t.Location() == time.UTC && t.Equal(t.Truncate(time.Microsecond))
}
