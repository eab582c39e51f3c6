package api

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// Text returns an error's text for people, on one line. It leaves out operation names, and the
// kind's name where the cause says more. Commands and the API use it.
func Text(err error) string {
	if err == nil {
		return ""
	}
	if p, ok := err.(*fs.PathError); ok { // the system call means nothing to people
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

// Apart splits an error of errors.Join, so that each part is shown with its own hint.
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

// wrapped returns the text of another package's error, with the errors inside it written for
// people.
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

// tellsKind reports whether a kind's name tells people something. "invalid" before a reason does
// not.
func tellsKind(kind error) bool {
	return kind != nil && kind != compute.ErrInvalid && kind != compute.ErrFailed && kind != compute.ErrUnavailable
}

func oneLine(s string) string {
	return strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ")
}
