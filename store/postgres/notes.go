package postgres

import (
	"encoding/hex"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// notes stand beside what the database says of itself, under names of their own.
const note = "note:"

// Note returns a part's text.
func (t *tx) Note(name string) (string, error) {
	all, err := ask(
		t, func(s scanner) (text string, err error) { return text, s.Scan(&text) },
		"SELECT value FROM meta WHERE name = $1", encode(note+name),
	)
	if err == nil && len(all) == 0 {
		err = &compute.Error{ID: compute.ID(name), Kind: compute.ErrNotFound}
	}
	if err != nil {
		return "", err
	}
	return decode(all[0]), nil
}

// SaveNote keeps one.
func (t *tx) SaveNote(name, text string) error {
	if err := t.writing(); err != nil {
		return err
	}
	if text == "" {
		return t.ask(query{text: "DELETE FROM meta WHERE name = $1", args: []any{encode(note + name)}})
	}
	return t.ask(query{
		text: "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
		args: []any{encode(note + name), encode(text)},
	})
}

// Notes returns the texts whose names begin with a prefix.
func (t *tx) Notes(prefix string) (map[string]string, error) {
	all, err := ask(t, func(s scanner) (n [2]string, err error) { return n, s.Scan(&n[0], &n[1]) }, "SELECT name, value FROM meta WHERE starts_with(name, $1) OR starts_with(name, $2)",
		encode(note+prefix), odd+hex.EncodeToString([]byte(note+prefix)))
	out := map[string]string{}
	for _, n := range all {
		if name, ok := strings.CutPrefix(decode(n[0]), note+prefix); ok {
			out[prefix+name] = decode(n[1])
		}
	}
	return out, err
}
