package state

import (
	"context"
	"log/slog"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/steps"
	"github.com/hostler-project/hostler/store"
)

// Store is what the engine needs of a store. Update and View run fn in a transaction, Update
// durably and alone. fn may be run more than once, so it must set its results anew each time.
type Store interface {
	Update(ctx context.Context, fn func(store.Tx) error) error
	View(ctx context.Context, fn func(store.Tx) error) error
	// Installation is the random id that marks all that we make.
	Installation() string
	// Worker is this handle's number. No two live handles have the same.
	Worker() int64
	// Alive reports whether the worker with this number lives.
	Alive(worker int64) bool
	// Version changes when another handle has written.
	Version(ctx context.Context) (int64, error)
	// Slot takes one of n slots of a row, until free is called or this process ends. ok is false
	// when all are taken.
	Slot(row int64, n int) (free func(), ok bool, err error)
}

// HookCall asks the caller of New to run a source's hooks for an instance.
type HookCall struct {
	// "provision", "discard", "acquire", "release", "check"; "bundles": apply the bundles again
	// after cleaning
	Event      string
	Source     string
	Definition []byte // the source's
	Instance   compute.Instance
	Lease      string // the token with which a hook may use the instance
	Resume     int    // how many hooks are done already, to be skipped
	Done       func(n int, name string) error
	Connect    func(ctx context.Context) (compute.Conn, error) // opens a connection to the instance
}

// Record is given the view of a decision about a request. It returns the view to decide by, and a
// function that is called with the result.
type Record func(*allocate.View, allocate.Request) (noting *allocate.View, done func(allocate.Result, error))

// Options join an engine to its surroundings.
type Options struct {
	Store   Store
	Sources []allocate.Source
	// Open opens the provider of a source from its type and definition. It is called at the
	// source's first use.
	Open func(ctx context.Context, name, typ string, definition []byte) (compute.Provider, error)
	// Hooks runs hooks; nil: there are none.
	Hooks func(ctx context.Context, call HookCall) error
	// Kept reads the definition kept with instances whose source is changed or gone from the
	// configuration. It returns its hooks, and what happens to failed instances and when. nil: no
	// hooks, and they are discarded.
	Kept func(definition []byte) (hooks []string, onFailure string, confirmDead time.Duration)
	// Gone reports whether a source was removed from the configuration: the place where it was is
	// read, and has no source of that name. Then its ready instances are discarded, as they can be
	// given to nobody. It must be quick, and return false if it cannot know. nil: false for all.
	Gone func(name, place string) bool
	// Inventory has Work compare the providers' lists with the records, and prune the journal. It
	// is for the process that does the work others left, such as the keeper or a controller.
	Inventory bool
	// Projects returns a project's limits and weight; nil: all are alike, without quotas. It is
	// called within transactions.
	Projects func(name string) allocate.Project
	// Inflight is shared by the engines on one handle of the store; nil: this engine is the only
	// one.
	Inflight *Inflight
	// Later is asked, when an instance waits to be cleaned or discarded, whether another process,
	// such as the keeper, will do it for this source. nil: it is done here and now. It is done here
	// too when a request cannot be served before.
	Later func(source, typ string) bool
	// Left is called when work has been recorded for that other process. It must not block. nil:
	// that process looks by itself.
	Left func()
	// Step is called at each recorded step, for tests that end the process there. It may be nil.
	Step func(name string)
	// Record writes decisions down; nil: nothing is recorded.
	Record Record
	// Took is called at each step of an instance, in its transaction, for tests that count
	// them; err: the table does not have it. It may be nil.
	Took func(id compute.ID, from compute.State, s steps.Step, err error)
	// Observe is called with what the engine has done, for metrics. It must not block. It may be
	// nil.
	Observe func(Sample)
	// Uptime returns how long this machine has run, and in which run, as proc.Uptime does: by a
	// clock that nobody sets and that counts time asleep. nil: that the machine's clock was set is
	// not noticed.
	Uptime func() (run string, up time.Duration, err error)
	// Host names the machine whose processes this one sees, where the store is shared with others;
	// "": all processes on the store see each other.
	Host string
	// NewID makes random ids for leases.
	NewID func() string
	Log   *slog.Logger
	// LeaseIdle is the idle limit of leases where neither request nor source says one; 0: none.
	LeaseIdle time.Duration
}

// Sample is something that the engine has done, for metrics.
type Sample struct {
	// "acquire": a request was answered; "make": an instance was made, or could not be
	What   string
	Source string         // the source's name; "": not a configured one
	Class  string         // the kind of its failure, "no-capacity" and so on; "": it did not fail
	Took   time.Duration  // the whole time
	Waited time.Duration  // of acquire: in the queue
	Hit    bool           // of acquire: all stood ready
	Count  int            // of acquire: leases given
	Phases compute.Phases // of make
}
