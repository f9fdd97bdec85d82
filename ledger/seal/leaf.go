package seal

import (
	"crypto/sha256"

	"github.com/doisoat/doisoat/internal/canonical"
	"github.com/doisoat/doisoat/ledger"
)

// version is that of new blocks: how their leaves come from their entries.
// Blocks of version 1 are checked by theirs for ever.
const version = ledger.FormPosted

// leaf hashes an entry anew for a block of a version: its leaf, and the hash of
// its content with the marks of its postings, which are of no version.
func leaf(hash *ledger.Hasher, version int16, r *ledger.Record) (leaf, content Hash, marks []byte) {
	content, marks = hash.Content(r)
	if version == ledger.FormWithTx {
		return hash.WithTx(leafPrefix, r), content, marks
	}
	return leafOf(content[:], r.Tx), content, marks
}

// leafOf is the leaf of an entry by the hash of its content, which was made when
// it was posted, and by the transaction that the database then gave it.
func leafOf(content []byte, tx int64) Hash {
	form := append(make(canonical.Form, 0, 64), leafPrefix)
	form.Bytes(content)
	form.Number(tx)
	return sha256.Sum256(form)
}
