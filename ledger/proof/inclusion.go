package proof

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ProofFormat names the shape of an inclusion proof.
const ProofFormat = "doisoat proof 1"

// InclusionProof shows that an entry is in the book of a day: entry → leaf → root of its block → hash of its block → …
// → Head. The DailyProof of the day names Head as chain_head. Verify checks the proof without the database.
type InclusionProof struct {
	Format   string  `json:"format"`
	Entry    Entry   `json:"entry"`
	Position int32   `json:"position"` // in the block, from 0
	Leaf     Hash    `json:"leaf"`
	Path     []Hash  `json:"path"`  // neighbours up to the root, nearest first
	Block    Block   `json:"block"` // the entry's block
	Chain    []Block `json:"chain"` // the blocks after it, to the last of its day
	Head     Hash    `json:"head"`
}

// errProof wraps the problem that Verify finds.
var errProof = errors.New("the proof does not hold")

// Verify checks the whole proof. A nil error means that the entry is in the book whose chain has the hash Head. Verify
// cannot know who published Head.
func (p *InclusionProof) Verify() error {
	if p.Format != ProofFormat {
		return fmt.Errorf("%w: it is not of the format %q", errProof, ProofFormat)
	}
	if err := sound(&p.Entry); err != nil {
		return fmt.Errorf("%w: the entry is not one of a book: %w", errProof, err)
	}
	if p.Block.Version != Version {
		return fmt.Errorf("%w: block %d has an unknown version", errProof, p.Block.Number)
	}
	if new(Hasher).leaf(&p.Entry) != p.Leaf {
		return fmt.Errorf("%w: the entry does not have the hash of its leaf", errProof)
	}
	if root, ok := rootOfPath(p.Leaf, int(p.Position), int(p.Block.Entries), p.Path); !ok || root != p.Block.Root {
		return fmt.Errorf("%w: the path does not lead to the root of block %d", errProof, p.Block.Number)
	}
	if !whole(p.Block.SealedAt) {
		return fmt.Errorf("%w: the time of block %d is not in whole microseconds of UTC", errProof, p.Block.Number)
	}
	if p.Block.HeaderHash() != p.Block.Hash {
		return fmt.Errorf("%w: the header of block %d does not have its hash", errProof, p.Block.Number)
	}
	if p.Entry.Authority != p.Block.Authority {
		return fmt.Errorf("%w: entry and block are of different authorities", errProof)
	}
	last := &p.Block
	for i := range p.Chain {
		if !whole(p.Chain[i].SealedAt) {
			return fmt.Errorf("%w: the time of block %d is not in whole microseconds of UTC", errProof, p.Chain[i].Number)
		}
		if wrong := p.Chain[i].Follows(last); wrong != "" {
			return fmt.Errorf("%w: block %d %s", errProof, p.Chain[i].Number, wrong)
		}
		last = &p.Chain[i]
	}
	if last.Hash != p.Head {
		return fmt.Errorf("%w: the chain does not end at the head", errProof)
	}
	return nil
}

// VerifyFile recognizes an exported book or an inclusion proof and verifies it. When there are heads, the proof's head
// must be among them.
func VerifyFile(r io.Reader, heads []Hash, passed func(entries int)) (book *Verified, proof *InclusionProof, err error) {
	in := bufio.NewReaderSize(r, 1<<16)
	if start, _ := in.Peek(len(`{"format":"` + bookFormat)); string(start) == `{"format":"`+bookFormat {
		done, err := VerifyBook(in, heads, passed)
		return &done, nil, err
	}
	text, err := io.ReadAll(io.LimitReader(in, longestLine))
	if err != nil {
		return nil, nil, err
	}
	proof = &InclusionProof{}
	if err := readProof(text, proof); err != nil {
		return nil, nil, fmt.Errorf("the file is neither an exported book nor an inclusion proof: %w", err)
	}
	if err := proof.Verify(); err != nil {
		return nil, proof, err
	}
	for _, h := range heads {
		if h != proof.Head {
			return nil, proof, fmt.Errorf("%w: it leads to the head %s, not to %s", errProof, proof.Head, h)
		}
	}
	return nil, proof, nil
}

// readProof reads a proof. Spaces and JSON escapes may differ from the original. It refuses a member name that appears
// twice or is unknown, because a human reader could then see a value that was not verified.
func readProof(text []byte, into *InclusionProof) error {
	var packed, plain bytes.Buffer
	if err := json.Compact(&packed, text); err != nil {
		return fmt.Errorf("unreadable: %w", err)
	}
	json.HTMLEscape(&plain, packed.Bytes())
	return exactly(plain.Bytes(), into)
}
