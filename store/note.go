package store

// NoteTx keeps small texts of parts of hostler, such as how far a webhook has come. A missing note
// is ErrNotFound.
type NoteTx interface {
	// Note returns the text of a name.
	Note(name string) (string, error)
	// SaveNote stores a note and replaces an older one of its name; "" removes it.
	SaveNote(name, text string) error
	// Notes returns the notes whose names begin with a prefix, by name.
	Notes(prefix string) (map[string]string, error)
}
