-- A split remembers up to where the book was finished when it read it, so that
-- the next one looks at what came since and not at three months again. And the
-- identifications that wait for a decision are found among all that were made.

-- +goose Up

-- Transactions below the horizon were over: the split saw all that they posted.
-- The number means something only in the cluster that gave it (ledger.home). Both
-- are empty for a split of an earlier program; the next one then looks further back.
alter table remittance.split add column horizon xid8, add column home bigint;

create index identification_by_state on reconcile.identification (authority, state, id desc);
