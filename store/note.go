package store

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/compute"
)

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

// ReadNote reads a note that WriteNote has written; false: there is none, and v stays as it is.
func ReadNote(tx interface {
	Note(name string) (string, error)
}, name string, v any) (found bool, err error) {
	text, err := tx.Note(name)
	if errors.Is(err, compute.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, DecodeNote(name, text, v)
}

// DecodeNote reads the text of a note that WriteNote has written.
func DecodeNote(name, text string, v any) error {
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("read what is recorded as %s: %w", name, err)
	}
	return nil
}

// WriteNote stores v as a note, in JSON.
func WriteNote(tx interface{ SaveNote(name, text string) error }, name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.SaveNote(name, string(text))
}
