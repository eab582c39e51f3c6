package sqlite

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

// Notes returns the texts whose names begin with a prefix.
func (t *tx) Notes(prefix string) (map[string]string, error) {
	all, err := collect(t, func(s scanner) (n [2]string, err error) {
		return n, s.Scan(&n[0], &n[1])
	}, "SELECT name, value FROM meta WHERE substr(CAST(name AS BLOB), 1, ?) = ?", len(note+prefix), []byte(note+prefix))
	out := map[string]string{}
	for _, n := range all {
		out[n[0][len(note):]] = n[1]
	}
	return out, err
}
