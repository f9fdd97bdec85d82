// Package seal proves that the book was not rewritten. It owns the tables block
// and sealed_entry of the schema ledger; a job and doisoat seal add blocks,
// doisoat check recomputes them, auditors read proofs.
//
// What an entry says is hashed in canonical form when it is posted (Record in
// ledger). Of finished entries of an authority these hashes become the leaves
// (leaf.go) of a Merkle tree (merkle.go, RFC 6962), the root goes into the header of a
// block, and each header holds the hash of the one before it (block.go).
// Whoever wrote down the hash of a day, from GET /v1/proofs/{date}, finds out
// whether any entry, posting or block up to that day was changed, left out or
// added since: docs/sealing.md says how, also without this program.
//
// Invariants:
//   - an entry is sealed once, in an order in which nothing can appear later:
//     its transaction is older than every running one (seal.go);
//   - posters never wait for a sealer, and one authority has one sealer at a time;
//   - blocks are append-only; block and entries commit together or not at all, so
//     a sealer may die at any line and run again;
//   - whatever the size of the book, one block at a time is in memory.
//
// There are no states: an entry is sealed or not yet.
package seal
