package provider

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Abilities are what one provider can do beyond compute.Provider. The zero value of a field means
// that it cannot.
type Abilities struct {
	Static    Static
	Cleaner   Cleaner
	Consoler  Consoler
	Prober    Prober
	Stopper   Stopper
	Health    Health
	Choice    Choice
	Snapshots Snapshots
	Identity  Identity
	Prewarm   Prewarm

	// Template is for a provider that makes its computers from something that may change while the
	// source's keys stay as they are: a file that the user edits. It returns a digest of what a
	// computer would be made from now; "": there is no template. Instances carry the digest of
	// theirs in FactTemplate, and ready ones with another are replaced. It is called often, one
	// call at a time, and at most reads files. A file server may hang: then the caller gives up,
	// and the call may return after the provider was closed. Meanwhile it holds no lock that
	// anything else needs.
	Template func() (string, error)
	// CreateLag is how long after the call a Create without an answer may still take effect.
	CreateLag time.Duration
}

// Of returns the abilities of a provider. It sees through wrappers, as As does, and does no I/O.
func Of(p compute.Provider) (a Abilities) {
	a.Static, _ = As[Static](p)
	a.Cleaner, _ = As[Cleaner](p)
	a.Consoler, _ = As[Consoler](p)
	a.Prober, _ = As[Prober](p)
	a.Stopper, _ = As[Stopper](p)
	a.Health = healthOf(p)
	a.Choice = choiceOf(p)
	a.Snapshots = snapshotsOf(p)
	a.Identity = identityOf(p)
	a.Prewarm = prewarmOf(p)
	if v, ok := As[interface{ Template() (string, error) }](p); ok {
		a.Template = v.Template
	}
	if v, ok := As[CreateLag](p); ok {
		a.CreateLag = v.CreateLag()
	}
	return a
}

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

// Prober is a provider that can say, before it makes anything, what would prevent it.
type Prober interface {
	// Probe checks, cheaply and changing nothing, what a computer of spec needs. It ignores
	// spec.ID. An error says why no computer could be made now. note is what the user should know
	// where one could, such as that something has to be fetched first; "": nothing. What Probe does
	// not check may still fail.
	Probe(ctx context.Context, spec compute.Spec) (note string, err error)
}

// Stopper is a provider whose computers can be stopped, and started again with the data on their
// disks.
type Stopper interface {
	// Stop shuts a computer down. The computer has grace to do that itself. Stopping a stopped one
	// is no error.
	Stop(ctx context.Context, id compute.ID, grace time.Duration) error
	// Start starts it again. Connect returns ErrNotReady until it has booted. Starting a running
	// one is no error.
	Start(ctx context.Context, id compute.ID) error
}

// CreateLag is a provider whose Create may still take effect after its caller died or gave up: a
// request is on its way to a cloud.
type CreateLag interface {
	// CreateLag returns how long after the call. Until then ErrNotFound proves nothing about a
	// computer whose Create had no answer.
	CreateLag() time.Duration
}

// As returns the first value in v's chain of Unwrap methods that is a T. It finds an ability of a
// provider or a connection through wrappers.
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
