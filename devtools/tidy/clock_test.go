package tidy

import (
	"regexp"
	"strings"
	"testing"
)

// rooms whose use cases open their transactions with postgres.InTx.
var rooms = []string{
	"cases/",
	"dossiers/",
	"fees/",
	"merchants/",
	"payments/",
	"reconcile/",
	"refunds/",
	"remittance/",
	"statements/",
	"internal/auth/keys/",
}

// clockReading is a call of a service's clock.
var clockReading = regexp.MustCompile(`\b\w+\.(DB\.)?(Now|now|Instant)\(\)`)

// readingsOutside are the readings that belong to no transaction, each with its reason.
var readingsOutside = map[string]string{
	"fees/service.go r.SubmittedAt, s.DB.Now())":              "a quote reads and keeps nothing: its transaction has no Act",
	"payments/inquiry.go Now: s.DB.Now(),":                    "the provider wants the time of the question, asked with no transaction open",
	"statements/statement.go read(src, file, s.DB.Instant())": "the time of receipt, which a dry run reports too",
}

// Inside a transaction the instant is Act.Now: a use case that reads the clock
// a second time can date its decision and its entry differently.
func TestOneClockReadingPerTransaction(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, f := range files(t, ".go") {
		if strings.HasSuffix(f.path, "_test.go") || strings.HasPrefix(f.path, "payments/paytest/") ||
			strings.HasPrefix(f.path, "reconcile/reconciletest/") || strings.HasPrefix(f.path, "refunds/refundstest/") || !inRoom(f.path) {
			continue
		}
		for i, line := range strings.Split(f.text, "\n") {
			if !clockReading.MatchString(line) || strings.HasPrefix(strings.TrimSpace(line), "//") {
				continue
			}
			allowed := false
			for key := range readingsOutside {
				path, text, _ := strings.Cut(key, " ")
				if f.path == path && strings.Contains(line, text) {
					allowed, used[key] = true, true
				}
			}
			if !allowed {
				t.Errorf("%s:%d reads the clock: take the instant from the transaction's Act", f.path, i+1)
			}
		}
	}
	for key, reason := range readingsOutside {
		if !used[key] {
			t.Errorf("no such reading: %s (%s)", key, reason)
		}
	}
}

func inRoom(path string) bool {
	for _, r := range rooms {
		if strings.HasPrefix(path, r) {
			return true
		}
	}
	return false
}
