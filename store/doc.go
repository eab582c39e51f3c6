// Package store says what a store does for the engine: transactions over records of instances,
// leases, sources, the queue and the journal. Below it are two stores, a file and a database, how
// both write their records, and the tests that every store passes.
package store
