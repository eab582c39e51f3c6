package compute

import (
	"context"
	"time"
)

// A Spec says which computer to make.
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
	// it costs at most so much for an hour; 0: any; only for a Pricer that has prices
	MaxPrice float64
	// what it is told at its first boot, in a form of cloud-init's; only of a UserDataTaker
	UserData []byte
}

// A Provider makes computers and unmakes them. Limits, reuse, queues and retries are not its work,
// and it keeps no state that the store does not have: everything comes by argument or was given to
// its constructor. All methods may be called at once from many goroutines.
type Provider interface {
	// Create starts a computer named spec.ID; called again with that ID it returns the same one. It
	// returns ErrNoCapacity when a quota or the place is full. The computer may still be booting on
	// return. An error of before anybody was asked is marked by Unasked: then there is nothing to
	// destroy.
	Create(ctx context.Context, spec Spec) (Instance, error)
	// Destroy asks. nil means asked; only ErrNotFound proves the end, so callers repeat.
	Destroy(ctx context.Context, id ID) error
	// List returns every computer that this installation made through this source and that still
	// exists, ready or not.
	List(ctx context.Context) ([]Instance, error)
	// Connect opens a way in, or returns ErrNotReady while the computer is booting.
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
// (hit or miss), which image it has, and which machine it is. The journal keeps them.
const (
	FactCached = "cached"
	FactImage  = "image"
	FactNode   = "node"
)

// FactTemplate is the fact of an instance of a Templated provider that says what it was made from.
const FactTemplate = "template"

// Templated is a provider that makes its computers from something that may change under a source
// whose keys stay as they are: a file that somebody edits.
type Templated interface {
	// Template returns a digest of what a computer would be made from now; "": there is no such
	// thing. Instances carry in FactTemplate that of what they were made from; ready ones that
	// carry another are replaced. It is asked often, by one at a time, and reads files at most.
	// Those may be on a file server that hangs: then nobody waits for it, so that it may return
	// after the provider was closed, and it holds no lock meanwhile that anything else needs.
	Template() (string, error)
}

// Pricer is a provider that may know what each kind of its computers costs, and keeps to
// Spec.MaxPrice then: it makes none that costs more, or whose price nobody knows.
type Pricer interface {
	// Prices reports whether it does, as this source is configured. It does no I/O.
	Prices() bool
}

// UserDataTaker is a provider whose computers can be told at their first boot what to do, by user
// data as cloud-init reads it, plain or compressed by gzip.
type UserDataTaker interface {
	// UserDataLimit returns how many bytes it takes; 0: no limit; less: none, as this source is
	// configured. It does no I/O.
	UserDataLimit() int
}

// Prober is a provider that can say, before it makes anything, what would keep it from that.
type Prober interface {
	// Probe looks, cheaply and changing nothing, for what a computer of spec needs; spec.ID is not
	// looked at. An error says why no computer could be made now; note is what is to be known where
	// one could, as that something has to be fetched first; "": nothing. What is not looked at may
	// still go wrong.
	Probe(ctx context.Context, spec Spec) (note string, err error)
}

// Standing is a Fixed provider whose computers need no making: they can be handed out without
// asking anybody.
type Standing interface {
	// Standing tells what is known of a computer, without I/O on it or for it. ok is false when
	// there is none of that name.
	Standing(id ID) (i Instance, ok bool)
}

// Cleaner is a provider that can make a used computer as if newly made. Where a provider cannot, a
// used computer is discarded, unless the source says reuse = as-is.
type Cleaner interface {
	// Clean ends what the last user left: files, processes, users, network, secrets. It may be
	// repeated. It returns what it checked, a short phrase for the record that the next hand-out
	// rests on.
	Clean(ctx context.Context, id ID) (checked string, err error)
}

// AsIs is a provider of machines that stay: reuse = as-is is its default.
type AsIs interface{ AsIs() bool }

// Lingerer is a provider whose Create may still take effect after the process that asked died or
// gave up: a request on its way to a cloud.
type Lingerer interface {
	// Lingers is how long after the asking. Until then ErrNotFound proves nothing about a computer
	// whose Create was not answered.
	Lingers() time.Duration
}

// Checker is a provider that can say more about a computer's health than that a connection opens.
type Checker interface {
	// Check returns nil when the computer is fit to be handed out.
	Check(ctx context.Context, id ID) error
}

// Witness is a Checker that may know without a look that a computer is fit, as its place tells it
// at once of what becomes of it.
type Witness interface {
	// Fit reports whether a computer is known to be fit to be handed out now, and to be the one of
	// that identity ("": its provider says none, or none was recorded). It is asked inside of
	// transactions: it does no I/O, and waits for none. False says nothing; Check finds out.
	Fit(id ID, identity string) bool
}

// Overseer is a provider that knows by itself, without asking for each, how its computers do.
type Overseer interface {
	// Oversee returns those that have ended by themselves, or were taken away by others, with the
	// reason, for people; each for a minute at least. They may be long known to have ended. An
	// error says that the place does not answer, so that nothing is known of any of them. It is
	// asked every few seconds, and after each failure that may come of that: what was known until
	// then does not stand for an answer when a call has just had none.
	Oversee(ctx context.Context) (ended map[ID]string, err error)
}

// Herald is an Overseer that knows when it has news.
type Herald interface {
	// Heed has f called whenever Oversee may have something new to tell: a computer has ended, the
	// place does not answer, or it answers again. f does not block. It may be called at any time
	// and from any goroutine until the provider is closed.
	Heed(f func())
}

// Consoler is a provider that keeps the computer's console output.
type Consoler interface {
	Console(ctx context.Context, id ID) (string, error)
}

// As finds the first value in v's chain of Unwrap methods that is a T: the way to ask for an
// optional ability through wrappers.
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
