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

// Verified counts the content of a verified book.
type Verified struct {
	Authority string `json:"authority"`
	Exported
	Totals Totals `json:"totals"`
}

// errBook wraps the problem that VerifyBook finds.
var errBook = errors.New("the book differs from its seal")

// VerifyBook reads a book that Export wrote and recomputes every hash, without a database. It checks each byte of each
// line, each entry's balance, each root, the chain and its end. It stops at the first wrong line and names this line.
//
// heads are hashes of daily proofs that the chain must contain. Without heads a book passes that was forged as a whole
// or ends too early. VerifyBook calls passed (unless nil) for each entry. The hashes of one block are in memory.
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
	wanted map[Hash]bool // heads that no block had so far
	line   int
	block  *Block // the block whose entries are being read
	last   *Block
	leaves []Hash
	sum    Tally
	hash   Hasher
	ended  bool
}

// read checks one line. It writes the line's values as a line again; the two lines must be equal. So read also refuses
// changes that JSON ignores, such as a space or an unknown member name.
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
		return errors.New("the last line does not agree with the lines before it")
	}
	v.ended = true
	return nil
}

// sound checks an entry alone: its postings are complete and balance, real and memo apart, per currency.
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

// whole reports whether a time has only the precision that the hash covers.
func whole(t time.Time) bool {
	return t.Location() == time.UTC && t.Equal(t.Truncate(time.Microsecond))
}
