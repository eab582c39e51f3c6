package access

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// The longest names, in characters: a title by the JSON API's limit, others by that of a database
// index. PostgreSQL's takes 2,704 bytes, and a computer and a URL stand in one together. A
// character of these may have 4 bytes, and no URL more than 2,000.
const (
	MaxTitle = 200
	MaxID    = 150
	MaxURL   = 2000
)

// CheckName checks a name that comes from elsewhere: it must be possible to send it on.
func CheckName(what, text string, most int) error {
	switch {
	case strings.TrimSpace(text) == "":
		return Invalid("%s is empty", what)
	case !utf8.ValidString(text):
		return Invalid("%s is not UTF-8", what)
	case utf8.RuneCountInString(text) > most || len(text) > MaxURL:
		return Invalid("%s is longer than %d characters", what, most)
	}
	for _, r := range text {
		if r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff {
			return Invalid("%s has the character U+%04X, which no document can carry", what, r)
		}
	}
	return nil
}

// NewComputerID makes the name of a computer.
func NewComputerID() string { return NewID("COMP-") }

// NewID makes what names a thing for good, with a prefix.
func NewID(prefix string) string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return prefix + hex.EncodeToString(b[:])
}
