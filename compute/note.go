package compute

// NoteTx is a Tx that keeps small texts of parts of hostler too, such as how far a webhook has
// come. What is not there is ErrNotFound.
type NoteTx interface {
	Note(name string) (string, error)
	// SaveNote adds one, in place of an older one of its name; "" forgets it.
	SaveNote(name, text string) error
}

// NotesTx is a NoteTx that lists them too.
type NotesTx interface {
	NoteTx
	// Notes returns those whose names begin with a prefix, by name.
	Notes(prefix string) (map[string]string, error)
}
