package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/hostler-project/hostler/compute"
)

// Limits on the texts of a request for leases, as they are kept with each lease.
const (
	mostLabels = 64
	mostKey    = 200      // bytes of a label's key
	mostValue  = 4 << 10  // bytes of its value
	mostInAll  = 16 << 10 // bytes of all labels together
	mostName   = 200      // bytes
	mostWords  = 1000     // bytes of a purpose
)

// CheckRequest returns what is wrong with the texts of a request for leases, or nil. They may be
// too many or too long, or have invisible characters that could control a terminal.
func CheckRequest(r compute.Request) error {
	bad := func(format string, args ...any) error {
		return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf(format, args...)}
	}
	switch {
	case len(r.Purpose) > mostWords:
		return bad("the purpose has %d bytes, and at most %d are kept", len(r.Purpose), mostWords)
	case unseen(r.Purpose):
		return bad("the purpose %q has letters that cannot be seen", r.Purpose)
	case len(r.Owner) > mostName || unseen(r.Owner):
		return bad("the owner %.200q: at most %d bytes, all to be seen", r.Owner, mostName)
	case len(r.Labels) > mostLabels:
		return bad("%d labels, and at most %d are kept", len(r.Labels), mostLabels)
	}
	all := 0
	for _, key := range slices.Sorted(maps.Keys(r.Labels)) {
		value := r.Labels[key]
		all += len(key) + len(value)
		switch {
		case key == "" || len(key) > mostKey || unseen(key) || strings.Contains(key, "="):
			return bad("the label's key %.200q: from one to %d bytes, all to be seen, and no =", key, mostKey)
		case len(value) > mostValue:
			return bad("the label %s has %d bytes, and at most %d are kept", key, len(value), mostValue)
		case unseen(value):
			return bad("the label %s=%.200q has letters that cannot be seen", key, value)
		case all > mostInAll:
			return bad("the labels have more than %d bytes together", mostInAll)
		}
	}
	return checkName(r.Name)
}

// unseen reports whether a text has characters that cannot be seen.
func unseen(s string) bool {
	// an invalid byte counts as U+FFFD, which can be seen
	return strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) })
}

// nameLetters are the characters of a lease's name. They are ASCII only, so names that look the
// same are the same.
const nameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// checkName returns what is wrong with the characters of a lease's name, or nil. "" is no name, and
// is allowed.
func checkName(name string) error {
	odd := strings.ContainsFunc(name, func(c rune) bool { return !strings.ContainsRune(nameLetters, c) })
	if odd || strings.HasPrefix(name, "-") || len(name) > mostName || name != "" && strings.Trim(name, ".") == "" {
		return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("the name %+.200q: a name has letters (a-z, A-Z), digits, dots, _ and -, "+
			"does not begin with - or have dots alone, and is no longer than %d bytes", name, mostName)}
	}
	return nil
}

// CheckFree returns an error if a lease's name could mean something else: a source, an instance, or
// an instance that a source may make later. Whether another lease of the project has the name is
// checked when the lease is given.
func CheckFree(
	ctx context.Context, name string, isSource func(name string) bool,
	resolve func(ctx context.Context, name string) (compute.Instance, *compute.Lease, error),
) error {
	taken := func(text string) error {
		return &compute.Error{
			ID: compute.ID(name), Kind: compute.ErrConflict, Err: errors.New(text),
			Hint: "take another name for the lease",
		}
	}
	if name == "" {
		return nil
	}
	if isSource(name) {
		return taken("there is a source of this name")
	}
	if source := namesInstance(name, isSource); source != "" {
		return taken("instances of the source " + source + " have such names")
	}
	i, _, err := resolve(ctx, name)
	if err == nil && string(i.ID) == name {
		return taken("there is an instance of this name")
	}
	if errors.Is(err, compute.ErrNotFound) {
		err = nil
	}
	return err
}

// namesInstance returns the source whose instances could have a name: SOURCE-NUMBER, or for a pool
// POOL- and the name of a child's instance. "": there is none.
func namesInstance(name string, isSource func(name string) bool) string {
	for i, c := range name {
		if c != '-' || !isSource(name[:i]) {
			continue
		}
		rest := name[i+1:]
		if rest != "" && strings.Trim(rest, "0123456789") == "" || namesInstance(rest, isSource) != "" {
			return name[:i]
		}
	}
	return ""
}
