package ledger

// ListBalancesIn is ListBalances inside a snapshot that a test holds.
var ListBalancesIn = selectBalances
