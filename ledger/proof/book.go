package proof

import (
	"bufio"
	"encoding/json"
	"io"
)

// bookFormat names the format of an exported book (docs/sealing.md).
const bookFormat = "doisoat book 1"

// An exported book is lines of JSON: bookHead, then for each block its header
// and its entries in order, then bookEnd.
type bookHead struct {
	Format    string `json:"format"`
	Authority string `json:"authority"`
}

type bookBlock struct {
	Block *Block `json:"block"`
}

type bookEntry struct {
	Leaf  Hash   `json:"leaf"` // shows which entry was changed; the root only shows that some entry was
	Entry *Entry `json:"entry"`
}

type bookEnd struct {
	End *Exported `json:"end"`
}

// Exported counts the content of an export.
type Exported struct {
	Blocks   int64 `json:"blocks"`
	Entries  int64 `json:"entries"`
	Postings int64 `json:"postings"`
	Head     Hash  `json:"head"` // zeros when the book has no block
}

// Writer writes the lines of an exported book. The caller flushes it with End.
type Writer struct {
	out  *bufio.Writer
	json *json.Encoder
	done Exported
}

// NewWriter begins the book of an authority.
func NewWriter(w io.Writer, authority string) (*Writer, error) {
	out := bufio.NewWriterSize(w, 1<<16)
	book := &Writer{out: out, json: json.NewEncoder(out)}
	return book, book.json.Encode(bookHead{bookFormat, authority})
}

// Block writes the header of the next block; its entries follow.
func (w *Writer) Block(b *Block) error {
	b.SealedAt = b.SealedAt.UTC()
	w.done.Blocks, w.done.Head = b.Number, b.Hash
	w.done.Entries += int64(b.Entries)
	w.done.Postings += b.Postings
	return w.json.Encode(bookBlock{b})
}

// Entry writes the next entry of the block.
func (w *Writer) Entry(leaf Hash, e *Entry) error {
	return w.json.Encode(bookEntry{leaf, e})
}

// End writes the last line and all bytes that are still in memory.
func (w *Writer) End() (Exported, error) {
	if err := w.json.Encode(bookEnd{&w.done}); err != nil {
		return Exported{}, err
	}
	return w.done, w.out.Flush()
}
