// Package proof is the sealed book as an outsider checks it, without a database
// and without this program's server: the canonical form of an entry, the Merkle
// tree (RFC 6962), the header of a block, the exported book and the inclusion
// proof of one entry. docs/sealing.md describes every byte.
//
// Callers: ledger hashes each entry that it posts; ledger/seal makes blocks,
// exports and proofs; doisoat verify runs VerifyFile.
//
// Invariants: equal bytes mean equal fields; the prefix of a hash tells leaf,
// node, header and content apart; a file that passes says the same to every
// reader. There are no states: a file passes, or fails with the first problem.
package proof
