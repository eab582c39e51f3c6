package store

// SlapEntry is a record of a SlapOS master: its data, and the keys by which it is found. An empty
// key is not set.
type SlapEntry struct {
	Kind     SlapKind
	Key      string
	Revision int64  // of its last change, or 0: of a kind without followers
	Name     string // no two entries have the same
	Place    string // no two entries have the same
	Tree     string
	Host     string
	Computer string
	Data     []byte // nil: it is gone
}

// SlapKind says what an entry is of. Package slapos/record has the kinds.
type SlapKind string

// SlapQuery asks for entries of a kind: all, or those that match every key here that is not "".
// They come in the order of their keys.
type SlapQuery struct {
	Kind                              SlapKind
	Name, Place, Tree, Host, Computer string
	Before                            string // only those with a key before this one; "": all
	Last                              bool   // the last first
	Limit                             int    // so many; 0: all
}

// SlapTx keeps the entries of a SlapOS master.
type SlapTx interface {
	// SlapRevision is that of the newest change; 0: there was none.
	SlapRevision() (int64, error)
	// SlapAdvance begins the next revision, under which entries are saved that others follow.
	SlapAdvance() (int64, error)
	// SlapChanges calls each for every change after a revision, the oldest first, removals too;
	// after 0 for all entries. compute.ErrStale: the removals since are not remembered any more.
	// each must not use the transaction. An error of each ends it, and is returned.
	SlapChanges(after int64, each func(SlapEntry) error) error
	// SlapEntry returns an entry, or compute.ErrNotFound.
	SlapEntry(kind SlapKind, key string) (SlapEntry, error)
	// SlapEntries returns those that are asked for.
	SlapEntries(q SlapQuery) ([]SlapEntry, error)
	// SaveSlap adds an entry, or changes it. Without data it is gone. A name or place that another
	// has is an error.
	SaveSlap(e SlapEntry) error
}
