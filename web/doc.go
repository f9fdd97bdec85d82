// Package web holds the parts that every HTTP surface shares: the server, the middleware around the
// router, and problem documents. It knows no room; web/api and web/pay stand on it.
//
// It owns no data. Invariants: every request leaves one log line that names the route template,
// never the path, query, body or a secret; every error leaves as application/problem+json with a
// stable code; the details of an internal error go to the log only; a panic ends one request, not
// the process.
package web
