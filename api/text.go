package api

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// Text is an error's text for people, on one line: without our rooms' operation names, and without
// the kind's name where the cause says more. A command prints it, and a controller answers with it.
func Text(err error) string {
	if err == nil {
		return ""
	}
	if p, ok := err.(*fs.PathError); ok { // which call it was says nothing to people
		return oneLine(p.Path + ": " + Text(p.Err))
	}
	e, ours := err.(*compute.Error)
	if !ours {
		return oneLine(wrapped(err))
	}
	var parts []string
	if e.ID != "" {
		parts = append(parts, string(e.ID))
	}
	switch {
	case e.Err == nil && e.Kind != nil:
		parts = append(parts, e.Kind.Error())
	case e.Err != nil:
		cause := Text(e.Err)
		if e.ID != "" {
			cause = strings.TrimPrefix(cause, string(e.ID)+": ")
		}
		if tellsKind(e.Kind) && !strings.Contains(cause, e.Kind.Error()) {
			parts = append(parts, e.Kind.Error())
		}
		parts = append(parts, cause)
	}
	return oneLine(strings.Join(parts, ": "))
}

// Apart takes apart what errors.Join put together, so that each is told by itself, with its own
// hint.
func Apart(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if _, ours := err.(*compute.Error); !ok || ours || strings.Contains(fmt.Sprintf("%T", err), "wrapErrors") {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, Apart(e)...)
	}
	return out
}

// wrapped is the text of an error that is none of ours, with what is inside of it said for people.
func wrapped(err error) string {
	var inside []error
	switch w := err.(type) {
	case interface{ Unwrap() error }:
		inside = []error{w.Unwrap()}
	case interface{ Unwrap() []error }:
		inside = w.Unwrap()
	}
	text := err.Error()
	for _, i := range inside {
		if i != nil && i.Error() != "" {
			text = strings.Replace(text, i.Error(), Text(i), 1)
		}
	}
	return text
}

// tellsKind reports whether a kind's name says something to people. "invalid" and "failed" before a
// reason do not.
func tellsKind(kind error) bool {
	return kind != nil && kind != compute.ErrInvalid && kind != compute.ErrFailed && kind != compute.ErrUnavailable
}

func oneLine(s string) string {
	return strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ")
}
