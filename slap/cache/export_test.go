package cache

import (
	"crypto/rsa"
	"testing"
)

// Parse reads an answer of a directory, for fuzzing.
func Parse(body []byte) ([]Entry, int, error) { return parseEntries(body, nil) }

// Sign signs an entry's text.
func Sign(t testing.TB, text string, key *rsa.PrivateKey) string {
	t.Helper()
	s, err := sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
