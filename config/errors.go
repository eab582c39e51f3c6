package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrUntrusted is wrapped by the Err of a source that waits for the user's approval.
var ErrUntrusted = errors.New("waits for `hostler trust`")

// Error is something wrong in a configuration file, or a name that is not in any.
type Error struct {
	File    string // "": it is in no file
	Line    int    // from 1; 0: the file as a whole
	Source  string // the source's name; "": none
	Key     string // the key, as written; "": none
	Msg     string // what is wrong, a phrase
	Nearest string // the known name that is most like the wrong one; "": there is none
	Err     error  // the cause; may be nil
}

// Error returns "FILE:LINE: source NAME: KEY: what is wrong; the nearest known is NEAREST" without what is empty, in one line.
func (e *Error) Error() string {
	var parts []string
	switch {
	case e.File != "" && e.Line > 0:
		parts = append(parts, fmt.Sprintf("%s:%d", e.File, e.Line))
	case e.File != "":
		parts = append(parts, e.File)
	}
	if e.Source != "" {
		parts = append(parts, "source "+e.Source)
	}
	if e.Key != "" {
		parts = append(parts, e.Key)
	}
	if e.Msg != "" {
		parts = append(parts, e.Msg)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	s := strings.Join(parts, ": ")
	if e.Nearest != "" {
		s += "; the nearest known is " + e.Nearest
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Nearest returns the one of known that is most like name, or "" if known is empty.
func Nearest(name string, known []string) string {
	best, least := "", 0
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := distance(fold(name), fold(k)); best == "" || d < least {
			best, least = k, d
		}
	}
	return best
}

// fold makes one of what people mix up in keys.
func fold(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "_")) }

// distance is the number of letters to insert, remove, change or swap with their neighbour to get from a to b.
func distance(a, b string) int {
	if len(a) > 64 { // nobody mistypes so long a name, and the table below stays small
		a = a[:64]
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
