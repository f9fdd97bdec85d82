package proof

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/bits"
)

// Hash is a SHA-256.
type Hash [sha256.Size]byte

// MarshalText writes 64 hex digits.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads 64 hex digits.
func (h *Hash) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(h) || len(text)%2 != 0 {
		return errors.New("a hash has 64 hex digits")
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// String returns 64 hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ScanBytes reads a bytea column. Bytes of another length become zeros, which equal no hash.
func (h *Hash) ScanBytes(v []byte) error {
	*h = Hash{}
	if len(v) == len(h) {
		copy(h[:], v)
	}
	return nil
}

// BytesValue writes a bytea column.
func (h Hash) BytesValue() ([]byte, error) { return h[:], nil }

// The first byte of the hashed bytes keeps leaves, nodes, headers and contents
// apart: none passes for another (RFC 6962, section 2.1, defines the first two).
const (
	leafPrefix    = 0x00
	nodePrefix    = 0x01
	headerPrefix  = 0x02
	contentPrefix = 0x03
)

func nodeHash(left, right Hash) Hash {
	var node [1 + 2*sha256.Size]byte
	node[0] = nodePrefix
	copy(node[1:], left[:])
	copy(node[1+sha256.Size:], right[:])
	return sha256.Sum256(node[:])
}

// Root is the Merkle Tree Hash of RFC 6962, section 2.1. Without leaves the result is the hash of zero bytes.
func Root(leaves []Hash) Hash {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	k := leftSize(len(leaves))
	return nodeHash(Root(leaves[:k]), Root(leaves[k:]))
}

// leftSize is the largest power of two below n: how many of n leaves the left subtree has.
func leftSize(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// Path lists the hashes that lead from the leaf at position to the root, the
// nearest first (RFC 6962, section 2.1.1).
func Path(leaves []Hash, position int) []Hash {
	if len(leaves) <= 1 {
		return []Hash{}
	}
	k := leftSize(len(leaves))
	if position < k {
		return append(Path(leaves[:k], position), Root(leaves[k:]))
	}
	return append(Path(leaves[k:], position-k), Root(leaves[:k]))
}

// rootOfPath computes the root from the leaf at position in a tree of size
// leaves. ok is false when the path has a wrong length for that position.
func rootOfPath(leaf Hash, position, size int, path []Hash) (root Hash, ok bool) {
	if position < 0 || position >= size {
		return Hash{}, false
	}
	if size == 1 {
		return leaf, len(path) == 0
	}
	if len(path) == 0 {
		return Hash{}, false
	}
	last := path[len(path)-1]
	k := leftSize(size)
	if position < k {
		root, ok = rootOfPath(leaf, position, k, path[:len(path)-1])
		return nodeHash(root, last), ok
	}
	root, ok = rootOfPath(leaf, position-k, size-k, path[:len(path)-1])
	return nodeHash(last, root), ok
}
