package ledger

import (
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// A Store keeps what a master knows. The transactions that it gives are a Tx too.
type Store = store.Transactor

// Tx is a store.Tx that keeps a master's entries too.
type Tx interface {
	// SlapRevision is that of the newest change; 0: there was none.
	SlapRevision() (int64, error)
	// SlapAdvance begins the next revision, under which entries are saved that others follow.
	SlapAdvance() (int64, error)
	// SlapChanges calls each for every change after a revision, the oldest first, removals too;
	// after 0 for all entries. compute.ErrStale: the removals since are not remembered any more.
	// each must not use the transaction. An error of each ends it, and is returned.
	SlapChanges(after int64, each func(record.Entry) error) error
	// SlapEntry returns an entry, or compute.ErrNotFound.
	SlapEntry(kind record.Kind, key string) (record.Entry, error)
	// SlapEntries returns those that are asked for.
	SlapEntries(q record.Query) ([]record.Entry, error)
	// SaveSlap adds an entry, or changes it. Without data it is gone. A name or place that another
	// has is an error.
	SaveSlap(e record.Entry) error
}
