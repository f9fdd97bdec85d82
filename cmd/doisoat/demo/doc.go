// Package demo makes the world of doisoat dev: the locked data folder, the mark
// that allows planting in a database, demo provinces with merchant accounts and
// keys, and the manifest that says where everything is. Only doisoat dev calls
// it; other commands read the manifest.
//
// Invariants: demo writes into no database that dev did not make; planting may
// run any number of times and revokes nothing.
package demo
