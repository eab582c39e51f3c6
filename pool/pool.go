package pool

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy"
)

// Store is what the engine needs of a store. Update and View run fn in a transaction, Update
// durably and alone; fn may be run more than once, so it must set what it gives back anew each
// time.
type Store interface {
	Update(ctx context.Context, fn func(compute.Tx) error) error
	View(ctx context.Context, fn func(compute.Tx) error) error
	// Installation is the random id that marks all that we make.
	Installation() string
	// Worker is this handle's number. No two that live at the same time have the same.
	Worker() int64
	// Alive tells whether the worker with this number lives.
	Alive(worker int64) bool
	// Version changes when another handle has written.
	Version(ctx context.Context) (int64, error)
	// Slot takes one of n places at a row, for as long as this process lives or until free is
	// called. ok is false when all are taken.
	Slot(row int64, n int) (free func(), ok bool, err error)
}

// Source is a configured source, as the engine sees it.
type Source struct {
	Name   string
	Type   string // "pool": the instances come from Children
	Digest string // of what determines how its instances are made
	Place  string // the root of configuration that defines it
	Err    error  // it is broken: every use gives this error
	// those of provision, discard, acquire, release, check that it has; bundles, and then provision
	// too: it is set up by bundles
	Hooks []string

	Reserve     int // never fewer, cached and in use together
	Spare       int // so many ready beside those in use
	Maximum     int // never more; 0: no limit of its own
	Concurrency int // runs at once on an instance; 0: no limit
	MaxUses     int // hand-outs of one instance; 0: no limit
	// leases have parts of instances, as many beside each other as there is room for
	Share bool
	// so many of those beyond what is wanted may be kept stopped by a director, where the provider
	// can
	Cold     int
	Children []string

	Reuse     string // "clean", "as-is", "rebuild", "no"; "": what the provider can
	OnFailure string // "hold": a failed instance is kept aside; else it is discarded
	// ConfirmDead is how long a failed instance is kept aside for, unless a person holds it; 0:
	// until a person discards it.
	ConfirmDead time.Duration
	TTL         time.Duration // of leases that ask for none; 0: none
	MaxTTL      time.Duration // at most; 0: no limit
	LeaseIdle   time.Duration // leases end when unused for so long; 0: the caller's default
	Idle        time.Duration // an instance beyond what is wanted stays for so long
	MaxAge      time.Duration // older ones are not handed out; 0: no limit
	Window      time.Duration // a director is told of the leases of so long; 0: it asks for none

	// its definition wants something to stand ahead of need at the provider's place, so it is
	// opened though nobody asks for an instance
	Ahead bool

	// requests that got none of it are in the journal: whoever keeps images ready learns by them
	// what is asked for
	Tally bool

	Price float64 // of an instance for an hour; 0: none
	// Size is what an instance has, as far as its configuration says; zeros: it does not. It counts
	// under quotas until one was made.
	Size compute.Amount

	// Policy is what requests may choose of it, as package policy has it; its name is the source's.
	Policy policy.Source

	Image, Flavor string
	Definition    []byte // what Open needs to open the provider, kept with the instances
}

// HookCall asks main to run a source's hooks for an instance.
type HookCall struct {
	// "provision", "discard", "acquire", "release", "check"; "bundles": it was cleaned, and wants
	// its bundles again
	Event      string
	Source     string
	Definition []byte // the source's
	Instance   compute.Instance
	Lease      string // the token with which a hook may use the instance
	Resume     int    // skip so many, which are done
	Done       func(n int, name string) error
	Connect    func(ctx context.Context) (compute.Conn, error) // opens a way into the instance
}

// Options join an engine to its surroundings.
type Options struct {
	Store   Store
	Sources []Source
	// Open makes the provider of a source from its type and definition. It is called at the
	// source's first use.
	Open func(ctx context.Context, name, typ string, definition []byte) (compute.Provider, error)
	// Hooks runs hooks; nil: there are none.
	Hooks func(ctx context.Context, call HookCall) error
	// Kept tells what counts at the end of instances whose source is not configured any more, or
	// otherwise, from the definition kept with them: the hooks that there are, and what happens to
	// failed ones and when. nil: none, and discarded.
	Kept func(definition []byte) (hooks []string, onFailure string, confirmDead time.Duration)
	// Gone tells whether a source was taken out of the configuration: the place where it was is
	// read, and has none of that name any more. What stands ready of it is discarded then, as
	// nobody can be given it. It must be quick, and say no where it cannot know. nil: no to all, so
	// that it stays.
	Gone func(name, place string) bool
	// Inventory has Work compare what the providers list with the records: for the process that
	// does what others left, such as the keeper or a controller. It forgets what is old in the
	// journal too.
	Inventory bool
	// Projects tells what a project's requests may have and count beside others'; nil: all alike,
	// without quotas. It is called within transactions.
	Projects func(name string) Project
	// Desk is shared by the engines on one handle of the store; nil: this engine is the only one.
	Desk *Desk
	// Later is asked, when an instance waits to be cleaned or discarded, whether somebody else,
	// such as the keeper, will do it for this source. nil: do it here and now. It is done here all
	// the same when a request cannot be served before.
	Later func(source, typ string) bool
	// Left is called when something has been recorded that is left to them. It must not block. nil:
	// they look by themselves.
	Left func()
	// Step is called at each recorded step, for tests that end the process there. It may be nil.
	Step func(name string)
	// Observe hears what the engine has done, for who measures it; nil: nobody. It must not block.
	Observe func(Sight)
	// Uptime tells how long this machine has run, by a clock that nobody sets, which goes on while
	// it sleeps; nil: that its clock was set is not noticed.
	Uptime func() (Uptime, error)
	// Host names the place whose processes this one sees, where the store is shared with others;
	// "": all who use the store see the same.
	Host string
	// NewID makes random ids for leases.
	NewID func() string
	Log   *slog.Logger
	// LeaseIdle is the idle limit of leases where neither request nor source says one; 0: none.
	LeaseIdle time.Duration
}

// Pool is the engine. It implements compute.Leaser.
type Pool struct {
	opt     Options
	store   Store
	log     *slog.Logger
	desk    *Desk
	sources map[string]*source // configured, by name; fixed at New
	// the same, in order of their names, so that every run does things in one order
	ordered []*source

	mu        sync.Mutex
	providers map[int64]*opened      // by source key
	templates map[int64]templateRead // by source keys, as read for transactions under way
	inquiries map[int64]*inquiry     // of templates, by source keys
	// source keys whose provider did not open for so many transactions under way
	shut  map[int64]int
	sizes map[int64]compute.Amount // of what was made last without a choice, by source key
	// what providers were told of what stands ahead, by source key
	said map[int64]saying
	// sources whose instances are being replaced by those of a promoted image
	rolls  map[string]bool
	recent recent // what the journal says of the leases of the last time
	// looks at the ready instances of sources that have many, by source key
	sweeps map[int64]*sweep
	// the queue may have requests of this process for which nobody waits
	haunted bool
	bell    chan struct{} // closed when something may have come free

	hall hall
}

var _ compute.Leaser = (*Pool)(nil)

type source struct {
	Source
	key     int64     // of its record; 0: not known yet; guarded by Pool.mu
	looked  time.Time // when what is due was last looked for; guarded by Pool.mu
	counted time.Time // when all its ready instances were last looked at; guarded by Pool.mu
	rolled  time.Time // when they were for being of an old template; guarded by Pool.mu
	tended  time.Time // when what is due was last done for somebody who waits; guarded by Pool.mu
	noticed bool      // that was looked at; guarded by Pool.mu
	// when its provider was last asked whether it could make what it makes now; guarded by Pool.mu
	probed time.Time
	// what its instances are made of, as it was noted when this engine looked last; guarded by
	// Pool.mu
	made     made
	children []*source
}

// New makes an engine. Of sources with errors only their users hear. A pool's children are found by
// name; one that is missing, or a circle, makes the pool broken.
func New(opt Options) (*Pool, error) {
	if opt.Store == nil || opt.Open == nil || opt.NewID == nil {
		return nil, errors.New("pool: Store, Open and NewID are required")
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	p := &Pool{opt: opt, store: opt.Store, log: opt.Log, sources: map[string]*source{}, providers: map[int64]*opened{},
		shut: map[int64]int{}, templates: map[int64]templateRead{}, inquiries: map[int64]*inquiry{},
		rolls: map[string]bool{}, said: map[int64]saying{},
		bell: make(chan struct{})}
	if p.opt.Left == nil {
		p.opt.Left = func() {}
	}
	if p.desk = opt.Desk; p.desk == nil {
		p.desk = &Desk{}
	}
	for _, s := range opt.Sources {
		p.sources[s.Name] = &source{Source: s}
	}
	for _, name := range slices.Sorted(maps.Keys(p.sources)) {
		p.ordered = append(p.ordered, p.sources[name])
	}
	p.link()
	return p, nil
}
