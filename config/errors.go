package config

import (
	"errors"
	"fmt"
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
