package sqlite

import "github.com/hostler-project/hostler/compute"

var _ compute.NoteTx = (*tx)(nil)

// notes stand beside what the file says of itself, under names of their own.
const note = "note:"

// Note returns a part's text.
func (t *tx) Note(name string) (text string, err error) {
	err = t.row("SELECT value FROM meta WHERE name = ?", note+name).Scan(&text)
	return text, t.read(err, name)
}

// SaveNote keeps one.
func (t *tx) SaveNote(name, text string) error {
	q, args := "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", []any{note + name, text}
	if text == "" {
		q, args = "DELETE FROM meta WHERE name = ?", args[:1]
	}
	_, err := t.write(q, args...)
	return err
}
