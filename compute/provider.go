package compute

import (
	"context"
	"time"
)

// A Spec says which computer to make. Zero fields of size and price ask for nothing.
type Spec struct {
	ID           ID     // the name: also the tag, label or directory by which it is found again
	Source       string // the source's name
	Installation string // the installation's id, put on whatever is made
	Image        string // "" for the source's own
	Flavor       string // "" for the source's own
	Location     string // "" for the source's own
	Cores        int    // at least so many; 0: any
	Memory       int64  // bytes, at least; 0: any
	Disk         int64  // bytes, at least; 0: any
	GPUs         int    // at least so many; 0: any
	// the most that it may cost for an hour; 0: any; only for a Pricer that has prices
	MaxPrice float64
	// cloud-init user data for its first boot; only for a UserDataTaker
	UserData []byte
}

// A Provider makes computers and destroys them. It does no limits, reuse, queues or retries. It
// keeps no state that the store does not have: everything comes by argument or was given to its
// constructor. All methods may be called at once from many goroutines.
type Provider interface {
	// Create starts a computer named spec.ID. Called again with that ID it returns the same one. It
	// returns ErrNoCapacity when a quota or the place is full. The computer may still be booting on
	// return. Unasked marks an error from before the place was asked: then there is nothing to
	// destroy.
	Create(ctx context.Context, spec Spec) (Instance, error)
	// Destroy asks for the computer's end. nil only means asked: ErrNotFound alone proves the end,
	// so callers repeat.
	Destroy(ctx context.Context, id ID) error
	// List returns every computer that this installation made through this source and that still
	// exists, ready or not.
	List(ctx context.Context) ([]Instance, error)
	// Connect opens a connection, or returns ErrNotReady while the computer is booting. The caller
	// closes it.
	Connect(ctx context.Context, id ID) (Conn, error)
}

// Fixed is a provider whose computers exist already, under names of their own: this machine,
// machines behind ssh. Their number is the source's intrinsic maximum, and an instance is named
// SOURCE-NAME.
type Fixed interface {
	// Names returns the names, in order of preference. It does no I/O.
	Names() []string
}

// FactPrice is the fact of an instance that says what it costs for an hour, a number.
const FactPrice = "price"

// The facts of an instance for which an image may have stood ready on a machine: whether it did
// (hit or miss), the image, and the machine. The journal keeps them.
const (
	FactCached = "cached"
	FactImage  = "image"
	FactNode   = "node"
)

// FactTemplate is the fact of an instance of a Templated provider that has the digest of what it
// was made from.
const FactTemplate = "template"

// Templated is a provider that makes its computers from something that may change while the
// source's keys stay as they are: a file that the user edits.
type Templated interface {
	// Template returns a digest of what a computer would be made from now; "": there is no
	// template. Instances carry the digest of theirs in FactTemplate, and ready ones with another
	// are replaced. It is called often, one call at a time, and at most reads files. A file server
	// may hang: then the caller gives up, and the call may return after the provider was closed.
	// Meanwhile it holds no lock that anything else needs.
	Template() (string, error)
}

// Pricer is a provider that may know what each kind of its computers costs. Then it keeps to
// Spec.MaxPrice: it makes no computer that costs more, or whose price is unknown.
type Pricer interface {
	// Prices reports whether it knows prices, as this source is configured. It does no I/O.
	Prices() bool
}

// UserDataTaker is a provider whose computers take cloud-init user data at their first boot, plain
// or compressed by gzip.
type UserDataTaker interface {
	// UserDataLimit returns how many bytes it takes, as this source is configured. 0: no limit;
	// below 0: it takes none. It does no I/O.
	UserDataLimit() int
}

// Prober is a provider that can say, before it makes anything, what would prevent it.
type Prober interface {
	// Probe checks, cheaply and changing nothing, what a computer of spec needs. It ignores
	// spec.ID. An error says why no computer could be made now. note is what the user should know
	// where one could, such as that something has to be fetched first; "": nothing. What Probe does
	// not check may still fail.
	Probe(ctx context.Context, spec Spec) (note string, err error)
}

// Standing is a Fixed provider whose computers need no making: they are handed out without I/O.
type Standing interface {
	// Standing returns what is known of a computer, without I/O. ok is false when there is none of
	// that name.
	Standing(id ID) (i Instance, ok bool)
}

// Cleaner is a provider that can make a used computer as if newly made. Where a provider cannot, a
// used computer is discarded, unless the source says reuse = as-is.
type Cleaner interface {
	// Clean removes what the last user left: files, processes, users, network, secrets. It may be
	// repeated. It returns a short phrase that says what it checked, for the record of the next
	// hand-out.
	Clean(ctx context.Context, id ID) (checked string, err error)
}

// AsIs is a provider of machines that stay: where AsIs returns true, reuse = as-is is the default.
type AsIs interface{ AsIs() bool }

// Lingerer is a provider whose Create may still take effect after its caller died or gave up: a
// request is on its way to a cloud.
type Lingerer interface {
	// Lingers returns how long after the call. Until then ErrNotFound proves nothing about a
	// computer whose Create had no answer.
	Lingers() time.Duration
}

// Checker is a provider that can say more of a computer's health than that a connection opens.
type Checker interface {
	// Check returns nil when the computer is fit to be handed out.
	Check(ctx context.Context, id ID) error
}

// Witness is a Checker that may know without a look that a computer is fit, as its place reports
// each change at once.
type Witness interface {
	// Fit reports whether a computer is known to be fit to be handed out now, and to have that
	// identity ("": none was recorded). It is called inside of transactions: it does no I/O, and
	// does not wait. False only means unknown; Check finds out.
	Fit(id ID, identity string) bool
}

// Overseer is a provider that knows the health of its computers without asking for each.
type Overseer interface {
	// Oversee returns the computers that have ended by themselves, or were taken away, with the
	// reason for people. It returns each for a minute at least, and may return long ended ones. An
	// error says that the place does not answer, so that nothing is known. It is called every few
	// seconds, and after each failure that may have this cause. Then an older answer must not stand
	// in for a failed call.
	Oversee(ctx context.Context) (ended map[ID]string, err error)
}

// Herald is an Overseer that knows when it has news.
type Herald interface {
	// Heed has f called whenever Oversee may have something new: a computer has ended, the place
	// does not answer, or it answers again. f does not block. f may be called at any time from any
	// goroutine until the provider is closed.
	Heed(f func())
}

// Consoler is a provider that keeps the computer's console output.
type Consoler interface {
	// Console returns the output that is kept.
	Console(ctx context.Context, id ID) (string, error)
}

// As returns the first value in v's chain of Unwrap methods that is a T. It finds an optional
// ability through wrappers.
func As[T any](v any) (T, bool) {
	for v != nil {
		if t, ok := v.(T); ok {
			return t, true
		}
		switch u := v.(type) {
		case interface{ Unwrap() Provider }:
			v = u.Unwrap()
		case interface{ Unwrap() Conn }:
			v = u.Unwrap()
		default:
			v = nil
		}
	}
	var zero T
	return zero, false
}
