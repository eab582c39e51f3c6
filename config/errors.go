package config

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUntrusted is wrapped by the Err of a source that waits for the user's approval.
var ErrUntrusted = errors.New("waits for `hostler trust`")

// Error is a mistake in a configuration file, or a name that is not configured.
type Error struct {
	File    string // "": in no file
	Line    int    // from 1; 0: the whole file
	Source  string // the source's name; "": none
	Key     string // the key, as written; "": none
	Msg     string // what is wrong, a phrase
	Nearest string // the known name most like the wrong one; "": there is none
	Err     error  // the cause, or nil
}

// mostErrors is how many mistakes of a file are reported.
const mostErrors = 10

// errorList collects the errors of one thing, in the order in which they were found.
type errorList struct {
	told []error
	more int // how many were found beyond mostErrors
}

func (l *errorList) add(e *Error) {
	if len(l.told) == mostErrors {
		l.more++
		return
	}
	l.told = append(l.told, e)
}

// err returns nil, the one error, or all joined, a line each. errors.As finds the first.
func (l *errorList) err() error {
	switch {
	case len(l.told) == 0:
		return nil
	case len(l.told) == 1:
		return l.told[0]
	case l.more > 0:
		first, _ := errors.AsType[*Error](l.told[0])
		return errors.Join(append(
			l.told, &Error{File: first.File, Source: first.Source, Msg: fmt.Sprintf("and %d mistakes more", l.more)},
		)...)
	}
	return errors.Join(l.told...)
}

// Error returns "FILE:LINE: source NAME: KEY: what is wrong; did you mean NEAREST?" in one line,
// without empty parts.
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
		s += "; did you mean " + e.Nearest + "?"
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
