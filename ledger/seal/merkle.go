package seal

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

// ScanBytes lets pgx read a bytea column; what is not a hash reads as zeros, which match nothing.
func (h *Hash) ScanBytes(v []byte) error {
	*h = Hash{}
	if len(v) == len(h) {
		copy(h[:], v)
	}
	return nil
}

// BytesValue lets pgx write a bytea column.
func (h Hash) BytesValue() ([]byte, error) { return h[:], nil }

// One byte before what is hashed keeps leaves, nodes and headers apart, so that
// none can be passed off as another (RFC 6962, section 2.1; the third is ours).
const (
	leafPrefix   = 0x00
	nodePrefix   = 0x01
	headerPrefix = 0x02
)

func nodeHash(left, right Hash) Hash {
	var node [1 + 2*sha256.Size]byte
	node[0] = nodePrefix
	copy(node[1:], left[:])
	copy(node[1+sha256.Size:], right[:])
	return sha256.Sum256(node[:])
}

// merkleRoot is the Merkle Tree Hash of RFC 6962, section 2.1. No leaves give the hash of nothing.
func merkleRoot(leaves []Hash) Hash {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	k := split(len(leaves))
	return nodeHash(merkleRoot(leaves[:k]), merkleRoot(leaves[k:]))
}

// split is the largest power of two below n.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// auditPath lists the hashes that lead from the leaf at position to the root,
// nearest first (RFC 6962, section 2.1.1).
func auditPath(leaves []Hash, position int) []Hash {
	if len(leaves) <= 1 {
		return []Hash{}
	}
	k := split(len(leaves))
	if position < k {
		return append(auditPath(leaves[:k], position), merkleRoot(leaves[k:]))
	}
	return append(auditPath(leaves[k:], position-k), merkleRoot(leaves[:k]))
}

// rootOfPath computes the root that a leaf at position of a tree of size leaves
// leads to; ok is false when the path has not the length that this place has.
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
	k := split(size)
	if position < k {
		root, ok = rootOfPath(leaf, position, k, path[:len(path)-1])
		return nodeHash(root, last), ok
	}
	root, ok = rootOfPath(leaf, position-k, size-k, path[:len(path)-1])
	return nodeHash(last, root), ok
}
