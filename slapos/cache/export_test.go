package cache

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"testing"
)

// Parse reads an answer of a directory, for fuzzing.
func Parse(body []byte) ([]Entry, int, error) { return parseEntries(body, nil) }

// ParseSigned reads it as one who believes signers.
func ParseSigned(body []byte, signers []*x509.Certificate) ([]Entry, int, error) {
	return parseEntries(body, signers)
}

// Signed and Unpack are what readers do with what others have put.
var (
	Signed = signed
	Unpack = unpack
)

// Texts are the texts and the signatures of those entries of a list that can be read.
func Texts(t testing.TB, list []byte) (out [][2]string) {
	t.Helper()
	var pairs []json.RawMessage
	if err := json.Unmarshal(list, &pairs); err != nil {
		t.Fatal(err)
	}
	for _, pair := range pairs {
		if _, err := parseEntry(pair, nil); err != nil {
			continue
		}
		var one [2]string
		if err := json.Unmarshal(pair, &one); err != nil {
			t.Fatal(err)
		}
		out = append(out, one)
	}
	return out
}

// Sign signs an entry's text.
func Sign(t testing.TB, text string, key *rsa.PrivateKey) string {
	t.Helper()
	s, err := sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
