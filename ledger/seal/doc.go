// Package seal makes and checks the seals of the book. It owns the tables block
// and sealed_entry of the schema ledger. A job and doisoat seal add blocks,
// doisoat check recomputes them, auditors read proofs. Hashes, formats and the
// verification without a database are in ledger/proof.
//
// The poster computes the content hash of each entry. The sealer makes leaves of
// the content hashes of finished entries; their root goes into the header of a
// block, and each header holds the hash of the block before it. The holder of
// the hash of a day (GET /v1/proofs/{date}) can find out whether an entry,
// posting or block up to that day was changed, left out or added.
//
// Invariants:
//   - an entry is sealed once, in an order without later arrivals: its
//     transaction is older than every running transaction;
//   - posters never wait for a sealer, and one authority has one sealer at a time;
//   - blocks are append-only, and a block commits with all its entries, so a
//     killed sealer can run again;
//   - one block at a time is in memory.
//
// There are no states: an entry is sealed or not yet.
package seal
