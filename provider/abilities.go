package provider

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Cleaner is a provider that can make a used computer as if newly made. Where a provider cannot, a
// used computer is discarded, unless the source says reuse = as-is.
type Cleaner interface {
	// Clean removes what the last user left: files, processes, users, network, secrets. It may be
	// repeated. It returns a short phrase that says what it checked, for the record of the next
	// hand-out.
	Clean(ctx context.Context, id compute.ID) (checked string, err error)
}

// Consoler is a provider that keeps the computer's console output.
type Consoler interface {
	// Console returns the output that is kept.
	Console(ctx context.Context, id compute.ID) (string, error)
}

// CreateLag is a provider whose Create may still take effect after its caller died or gave up: a
// request is on its way to a cloud.
type CreateLag interface {
	// Lingers returns how long after the call. Until then ErrNotFound proves nothing about a
	// computer whose Create had no answer.
	Lingers() time.Duration
}

// Versioned is a provider that makes its computers from something that may change while the
// source's keys stay as they are: a file that the user edits.
type Versioned interface {
	// Template returns a digest of what a computer would be made from now; "": there is no
	// template. Instances carry the digest of theirs in FactTemplate, and ready ones with another
	// are replaced. It is called often, one call at a time, and at most reads files. A file server
	// may hang: then the caller gives up, and the call may return after the provider was closed.
	// Meanwhile it holds no lock that anything else needs.
	Template() (string, error)
}

// As returns the first value in v's chain of Unwrap methods that is a T. It finds an optional
// ability through wrappers.
func As[T any](v any) (T, bool) {
	for v != nil {
		if t, ok := v.(T); ok {
			return t, true
		}
		switch u := v.(type) {
		case interface{ Unwrap() compute.Provider }:
			v = u.Unwrap()
		case interface{ Unwrap() compute.Conn }:
			v = u.Unwrap()
		default:
			v = nil
		}
	}
	var zero T
	return zero, false
}
