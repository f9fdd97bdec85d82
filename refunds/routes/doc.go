// Package routes brings approved refunds back to their payers: by the provider
// that captured the money, or by a payment order or treasury order that people
// write. It decides when a refund leaves and writes refunds.document; package
// refunds keeps the refund and takes each step of its status.
//
// Jobs send and inquire, accountants record documents (web/api), reconcile
// confirms by settlement.
//
// Invariants: the provider is called with no transaction open; a provider sees
// a reference once; an unclear answer is unknown, and only an inquiry, a
// settlement line or a document ends that.
//
// Sending is three steps: a transaction that moves the refund to sending, the
// call, a transaction that records the answer. While one worker sends, the
// others leave the refund alone. A refund that stays in sending longer than
// sending can take was interrupted: it becomes unknown and is never sent again.
//
// An inquiry's answer counts only while no other refund of the payment was sent
// meanwhile, since providers tell refunds of one payment apart badly.
package routes
