-- A paper carries a refund out, or brings it back, once. The request that
-- recorded it may come again late, after the refund bounced and was paid anew:
-- then it must not move the money a second time.

-- +goose Up

alter table refunds.document add constraint document_once unique (refund_id, act, number, document_date);
