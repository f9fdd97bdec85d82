package balances

// ListIn is Service.ListBalances inside a snapshot that a test holds.
var ListIn = selectBalances
