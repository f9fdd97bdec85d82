package ledger

// Digest is what an entry is recognised by when its cause comes again.
func Digest(e Entry) []byte { return e.digest() }
