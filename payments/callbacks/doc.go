// Package callbacks takes the raw messages of providers: it receives a message, verifies it,
// applies it to its payment and keeps it. It writes the tables callback and refused_callback of the
// PostgreSQL schema payments.
//
// web/api calls Receive for each message; a job calls ApplyKept for a verified message that could
// not be applied at once, and DropRefused for old refused ones.
//
// Invariants: one transaction keeps the raw message, moves the payment, posts, audits and queues
// jobs; the provider gets its answer after the commit. A verified message is never lost: when
// applying it fails, a transaction of its own keeps it. An unverified message leaves at most a row
// in a table of fixed size.
//
// The way of a message, from the HTTP handler to its last SQL statement (a test holds this list):
//
//	 1 web/api receiveCallback      reads the message within the provider's bounds
//	 2 callbacks Receive            verifies, finds the payment, answers after the commit
//	 3 callbacks Group.Do           shares a transaction with the messages that wait at the same time
//	 4 postgres InTx                makes the Act: transaction, actor, instant
//	 5 postgres transact            begins, commits, repeats after a lost race
//	 6 callbacks transaction.write  locks in one round trip, then lets each message write
//	 7 callbacks notice.record      keeps the raw message with the answer
//	 8 payments Apply               decides which status and capture follow from the event
//	 9 payments capture             allocates the money and moves the payment
//	10 ledger Writes.Send           sends the queued statements, then the entries
//	11 ledger Post                  checks the entries
//	12 ledger write                 inserts entries and postings
//
// No step starts a goroutine: the goroutine of one waiting message runs steps 4 to 12 for all of
// them.
package callbacks
