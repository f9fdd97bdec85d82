-- Repricings have a room of their own, repricing, and so a schema of their own.

-- +goose Up
create schema repricing;
grant usage on schema repricing to doisoat_app;
alter table refunds.repricing set schema repricing;
alter table refunds.repricing_item set schema repricing;
alter table repricing.repricing_item rename to item;
alter table refunds.day_repriced set schema repricing;
alter table repricing.day_repriced rename to day;
alter function refunds.due_for_repricing(timestamptz, integer) set schema repricing;
alter function repricing.due_for_repricing(timestamptz, integer) rename to due;
