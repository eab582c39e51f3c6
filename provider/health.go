package provider

import (
	"context"

	"github.com/hostler-project/hostler/compute"
)

// Health is what a provider knows of the health of its computers.
type Health struct {
	Checker Checker
	Cache   HealthCache
	// Watch returns the computers that have ended by themselves, or were taken away, with the
	// reason for people: the provider's method WatchHealth. It returns each for a minute at least,
	// and may return long ended ones. An error says that the place does not answer, so that nothing
	// is known. It is called every few seconds, and after each failure that may have this cause.
	// Then an older answer must not stand in for a failed call.
	Watch func(ctx context.Context) (ended map[compute.ID]string, err error)
	// Notify has f called whenever Watch may have something new: the provider's method
	// NotifyHealth. A computer has ended, the place does not answer, or it answers again. f does
	// not block. f may be called at any time from any goroutine until the provider is closed.
	Notify func(f func())
}

// Checker is a provider that can say more of a computer's health than that a connection opens.
type Checker interface {
	// Check returns nil when the computer is fit to be handed out.
	Check(ctx context.Context, id compute.ID) error
}

// HealthCache is a Checker that may know without a look that a computer is fit, as its place
// reports each change at once.
type HealthCache interface {
	// Fit reports whether a computer is known to be fit to be handed out now, and to have that
	// identity ("": none was recorded). It is called inside of transactions: it does no I/O, and
	// does not wait. False only means unknown; Check finds out.
	Fit(id compute.ID, identity string) bool
}

func healthOf(p compute.Provider) (h Health) {
	h.Checker, _ = As[Checker](p)
	h.Cache, _ = As[HealthCache](p)
	if v, ok := As[interface {
		WatchHealth(context.Context) (map[compute.ID]string, error)
	}](p); ok {
		h.Watch = v.WatchHealth
	}
	if v, ok := As[interface{ NotifyHealth(func()) }](p); ok {
		h.Notify = v.NotifyHealth
	}
	return h
}
