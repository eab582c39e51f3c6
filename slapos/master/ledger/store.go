package ledger

import (
	"context"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/record"
)

// A Store keeps what a master knows. The transactions that it gives are a Tx too; both stores of
// package store do that.
type Store interface {
	Update(ctx context.Context, fn func(compute.Tx) error) error
	View(ctx context.Context, fn func(compute.Tx) error) error
}

// Tx is a compute.Tx that keeps a master's entries too.
type Tx interface {
	// SlapRevision is that of the newest change; 0: there was none.
	SlapRevision() (int64, error)
	// SlapAdvance begins the next revision, under which entries are saved that others follow.
	SlapAdvance() (int64, error)
	// SlapChanges shows what was changed after a revision, the oldest change first, with what is
	// gone; after 0 all that there is. compute.ErrStale: it is not remembered any more what has
	// gone since. Who is shown it does not use the transaction, and ends it by an error, which is
	// returned.
	SlapChanges(after int64, each func(record.Entry) error) error
	// SlapEntry returns an entry. What is not there is compute.ErrNotFound.
	SlapEntry(kind record.Kind, key string) (record.Entry, error)
	// SlapEntries returns those that are asked for.
	SlapEntries(q record.Query) ([]record.Entry, error)
	// SaveSlap adds an entry, or changes it. Without data it is gone. A name or place that another
	// has is an error.
	SaveSlap(e record.Entry) error
}
