package store

import (
	"time"

	"github.com/hostler-project/hostler/compute/inventory"
)

// SourceRecord is one definition of a source as the store knows it. A name that was given another
// definition has another record.
type SourceRecord struct {
	Key    int64
	Name   string
	Digest string // of the keys that determine how its computers are made
	Type   string
	Place  string // the root of configuration that defines it
	// enough to open its provider when the configuration is gone; no secrets, only references to
	// them
	Definition []byte
	Counts     inventory.Counts // kept by the store in the same transaction as the instances

	inventory.Backoff
	// since when its place does not answer, and then why is LastError; zero: it does
	Unreachable time.Time
	Target      inventory.Target // what the director wants of it
}

// Why is its last error for people. Where its place does not answer, it says since when.
func (r *SourceRecord) Why() string {
	if r.Unreachable.IsZero() {
		return r.LastError
	}
	return "it cannot be reached since " + r.Unreachable.UTC().Format(time.RFC3339) + ": " + r.LastError
}

// Tell puts into a source's health what the record says of it.
func (r *SourceRecord) Tell(h *inventory.Health) {
	h.Backoff, h.Unreachable, h.LastError = r.Backoff, r.Unreachable, r.Why()
}
