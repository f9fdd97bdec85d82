// Package tidy holds rules about the source that neither the compiler nor a
// linter knows: who may import whom, how rooms describe themselves, how long a
// file may be, that landed migrations never change, that documents keep up.
//
// Only its tests do anything: they read the repository. It owns nothing. A rule that
// is in the way is changed here, with a reason in docs/adr.
package tidy
