// Package jobs sets River up: the kinds of jobs, their queues, their time limits, and when a job is
// tried again or given up.
//
// It owns no data of its own; River's tables are the schema river. cmd starts the working client,
// rooms hold the insert-only one and enqueue inside their own transaction. A job's argument type
// lives in the room that enqueues it.
//
// Invariants: a job may run twice and may die between any two lines, so every use case that a
// worker calls is safe to repeat; arguments hold the authority and ids, never names or secrets; a
// worker decodes, calls one use case as the system actor of the job's authority and returns its
// error; errors.go alone decides how a job ends after an error. Nothing relies on a tick: periodic
// jobs look for due rows, and so they also find the work of discarded jobs.
//
// States are River's: available, scheduled, running, retryable, completed, cancelled (will never
// work), discarded (tried too often).
package jobs
