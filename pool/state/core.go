package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/journal"
	"github.com/hostler-project/hostler/store"
)

// The engine's parts, the lowest first. Each knows only parts that stand before it here. Pool is
// the door to them.

// Core has the store, the configured sources, and what this process works on. It moves records from
// state to state, and wakes requests that wait.
type Core struct {
	Opt      Options
	Store    Store
	Log      *slog.Logger
	Inflight *Inflight
	Sources  map[string]*allocate.Source // the configured ones, by name; fixed at New
	// the same, by name, so that every run has the same order
	Ordered    []*allocate.Source
	Recent     journal.Recent // what the journal says of the leases of the last time
	Throughput journal.Throughput

	Mu     sync.Mutex // guards the rest, and the maps of the other parts
	states map[*allocate.Source]*sourceState
	next   *Core // of the engine that took over; nil: none
	// the queue may have requests of this process that nothing waits for
	staleRequests bool
	changed       chan struct{} // closed when something may have come free
}

// Clock ends leases in time, also where a machine's clock was set.
type Clock struct{ core *Core }

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
	// Observe is called with what the engine has done, for metrics. It must not block. It may be
	// nil.
	Observe func(Sample)
	// Uptime returns how long this machine has run, by a clock that nobody sets and that counts
	// time asleep. nil: that the machine's clock was set is not noticed.
	Uptime func() (Uptime, error)
	// Host names the machine whose processes this one sees, where the store is shared with others;
	// "": all processes on the store see each other.
	Host string
	// NewID makes random ids for leases.
	NewID func() string
	Log   *slog.Logger
	// LeaseIdle is the idle limit of leases where neither request nor source says one; 0: none.
	LeaseIdle time.Duration
}

// sourceState is what an engine knows of a source. Pool.mu guards it.
type sourceState struct {
	Key        int64     // of its record; 0: not known yet
	Looked     time.Time // when what is due was last looked for
	Counted    time.Time // when all its ready instances were last looked at
	Rolled     time.Time // when they were last checked for an old template
	Reconciled time.Time // when what is due was last done for a waiting request
	Probed     time.Time // when its provider was last asked whether it can make instances now
	Noticed    bool      // whether the template was read
	// what its instances are made of, as it was noted when this engine last looked
	Made MakeNote
}

// Project returns a project's configuration; "" is the default one.
func (p *Core) Project(name string) allocate.Project {
	if p.Opt.Projects == nil {
		return allocate.Project{}
	}
	return p.Opt.Projects(name)
}

// Step calls Options.Step. Each name stands for a point at which the process may end without harm.
func (p *Core) Step(name string) {
	if p.Opt.Step != nil {
		p.Opt.Step(name)
	}
}

// Set changes an instance's state and writes an event. The event's kind is the state's name unless
// it has one.
func (p *Core) Set(tx store.Tx, i *compute.Instance, to compute.State, e compute.Event) (int64, error) {
	if i.Row != 0 && !compute.Allowed(i.State, to) {
		return 0, fmt.Errorf("instance %s: no step leads from %s to %s", i.ID, i.State, to)
	}
	i.State, i.Since = to, time.Now()
	if err := tx.SaveInstance(i); err != nil {
		return 0, err
	}
	e.Time, e.Source, e.Instance = i.Since, i.Source, i.ID
	if e.Kind == "" {
		e.Kind = string(to)
	}
	return tx.Append(&e)
}

// Rest has nobody work on an instance, for a reason. The tries to discard it stay counted.
func Rest(i *compute.Instance, why allocate.Reason) {
	i.Work = compute.Work{Attempts: i.Attempts}
	i.Reason, i.Cause = why.Text, why.Cause
}

// ToReady puts an instance into the cache. The next hand-out rests on the event.
func (p *Core) ToReady(tx store.Tx, i *compute.Instance, e compute.Event) error {
	Rest(i, allocate.Reason{})
	i.ReadyAt = time.Now()
	basis, err := p.Set(tx, i, compute.Ready, e)
	if err != nil {
		return err
	}
	i.Basis = basis
	return tx.SaveInstance(i)
}

// ToFailed takes an instance out of use or, if its source says so, keeps it aside for a time or for
// good. s is nil if there is nothing to look at.
func (p *Core) ToFailed(tx store.Tx, i *compute.Instance, s *allocate.Source, why allocate.Reason) error {
	Rest(i, why)
	if _, err := p.Set(tx, i, compute.Failed, compute.Event{Text: why.Text}); err != nil || s == nil || s.OnFailure != "hold" {
		return err
	}
	e := compute.Event{Text: why.Text}
	if i.Retry = (time.Time{}); s.ConfirmDead > 0 {
		i.Retry = time.Now().Add(s.ConfirmDead)
		e.Data = map[string]string{"until": i.Retry.UTC().Format(time.RFC3339)}
	}
	_, err := p.Set(tx, i, compute.Held, e)
	return err
}

// Wake wakes the requests of this process that wait.
func (p *Core) Wake() {
	p.Mu.Lock()
	close(p.changed)
	p.changed = make(chan struct{})
	p.Mu.Unlock()
	if next := p.Successor(); next != nil {
		next.Wake()
	}
}

// Woken returns the channel that the next ring closes.
func (p *Core) Woken() <-chan struct{} {
	p.Mu.Lock()
	defer p.Mu.Unlock()
	return p.changed
}

const (
	BootPatience    = 15 * time.Minute // for a new instance to answer
	cleanupPatience = time.Minute      // for giving back what an interrupted request took
)

// Progress records how far making an instance has come, and checks that it is still ours to make.
func (p *Core) Progress(ctx context.Context, u *allocate.Grant, to compute.State) error {
	var i compute.Instance
	err := p.Store.Update(ctx, func(tx store.Tx) error {
		if err := p.CheckOwned(tx, u.Instance); err != nil {
			return err
		}
		i = *u.Instance
		_, err := p.Set(tx, &i, to, compute.Event{Data: PhaseData(i.Phases), Project: ProjectOf(u)})
		return err
	})
	if err == nil { // not before, as a transaction may be run again
		*u.Instance = i
	}
	return err
}

// ProjectOf returns the project that gets the instance, so that others do not see its events.
func ProjectOf(u *allocate.Grant) string {
	if u.Lease == nil {
		return ""
	}
	return u.Lease.Project
}

// CheckOwned returns an error if a record is not as this worker left it.
func (p *Core) CheckOwned(tx store.Tx, i *compute.Instance) error {
	now, err := tx.Instance(i.ID)
	if err != nil {
		return err
	}
	if now.Row != i.Row || now.State != i.State || now.Worker != i.Worker || now.Generation != i.Generation {
		return &compute.Error{
			ID: i.ID, Kind: compute.ErrStale,
			Err: fmt.Errorf("it was taken over while it was worked on: it is %s now", now.State),
		}
	}
	return nil
}

func PhaseData(ph compute.Phases) map[string]string {
	data := map[string]string{}
	for name, d := range map[string]time.Duration{"wait": ph.Wait, "create": ph.Create, "connect": ph.Connect, "set_up": ph.SetUp} {
		if d > 0 {
			data[name] = d.Round(time.Microsecond).String()
		}
	}
	return data
}

const (
	AtOnce = 8 // instances worked on at a time by one call
	// how long the provider has to prove the end, before a later try
	DestroyPatience = 2 * time.Minute
	// how long it has to clean, before the instance counts as failed
	CleanPatience = 30 * time.Minute
	ListPatience  = 5 * time.Minute  // how long it has to list its computers
	RetryFirst    = 2 * time.Second  // pause after a failed discard, doubling
	RetryMost     = 10 * time.Minute // at most
)

// ReleaseClaim releases this worker's claim on an instance, for the next look.
func (p *Core) ReleaseClaim(ctx context.Context, i *compute.Instance) error {
	ctx, cancel := CleanupContext(ctx)
	defer cancel()
	return p.Store.Update(ctx, func(tx store.Tx) error {
		if err := p.CheckOwned(tx, i); err != nil {
			return err
		}
		j := *i
		j.Worker = 0
		return tx.SaveInstance(&j)
	})
}

// HooksDone records, once, that the discard hooks have run.
func (p *Core) HooksDone(ctx context.Context, i *compute.Instance, failed error) error {
	return p.Store.Update(ctx, func(tx store.Tx) error {
		if err := p.CheckOwned(tx, i); err != nil {
			return err
		}
		j := *i
		j.Resume = -1
		if failed != nil {
			if _, err := tx.Append(&compute.Event{
				Kind: "hook-failed", Source: j.Source, Instance: j.ID, Text: compute.Said(failed),
			}); err != nil {
				return err
			}
		}
		i.Resume = -1
		return tx.SaveInstance(&j)
	})
}

// Of returns the source that decides about an instance's life: the configured one, or what its
// record has kept.
func (p *Core) Of(ctx context.Context, i *compute.Instance) (*allocate.Source, error) {
	if s := p.Sources[i.Source]; s != nil {
		if p.KeyOf(s) == i.SourceKey {
			return s, nil
		}
	}
	rec, err := p.RecordOf(ctx, i.SourceKey)
	if err != nil {
		return nil, err
	}
	return p.SourceOf(rec), nil
}

// RecordOf reads a source's record by its key.
func (p *Core) RecordOf(ctx context.Context, key int64) (rec *store.SourceRecord, err error) {
	err = p.Store.View(ctx, func(tx store.Tx) error {
		rec, err = tx.SourceByKey(key)
		return err
	})
	return rec, err
}

// Behind returns the instance and those behind it, the real one last.
func (p *Core) Behind(ctx context.Context, i *compute.Instance) (chain []*compute.Instance, err error) {
	if i.Child == "" {
		// this is the usual case; with thousands handed out at once, reading the store for each
		// would take most of the time
		return []*compute.Instance{i}, nil
	}
	err = p.Store.View(ctx, func(tx store.Tx) error {
		inner, err := allocate.ChainOf(tx, i.Child)
		chain = append([]*compute.Instance{i}, inner...)
		return err
	})
	if err == nil && chain[len(chain)-1].Child != "" {
		err = ErrHollow(i.ID)
	}
	return chain, err
}

// ErrHollow is the error of a pool's instance that has lost the real one.
func ErrHollow(id compute.ID) error {
	return &compute.Error{ID: id, Kind: compute.ErrNotFound, Err: errors.New("the instance behind it is gone")}
}

// Events is Events.
func (p *Core) Events(ctx context.Context, q compute.EventQuery) (out []compute.Event, err error) {
	err = p.Store.View(ctx, func(tx store.Tx) error {
		es, err := tx.Events(q)
		out = Values(es)
		return err
	})
	return out, err
}

func Values[T any](in []*T) []T {
	out := make([]T, len(in))
	for n, v := range in {
		out[n] = *v
	}
	return out
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

// NewCore makes the core of an engine from its options.
func NewCore(opt Options) (*Core, error) {
	if opt.Store == nil || opt.Open == nil || opt.NewID == nil {
		return nil, errors.New("pool: Store, Open and NewID are required")
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Left == nil {
		opt.Left = func() {}
	}
	c := &Core{
		Opt: opt, Store: opt.Store, Log: opt.Log, Inflight: opt.Inflight, Sources: map[string]*allocate.Source{},
		states: map[*allocate.Source]*sourceState{}, changed: make(chan struct{}),
	}
	if c.Inflight == nil {
		c.Inflight = &Inflight{}
	}
	for _, s := range opt.Sources {
		c.Sources[s.Name] = &s
		c.states[&s] = &sourceState{}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		c.Ordered = append(c.Ordered, c.Sources[name])
	}
	allocate.Link(c.Sources, c.Ordered)
	return c, nil
}

// HandOver has another engine's core take over from this one.
func (p *Core) HandOver(next *Core) {
	p.Mu.Lock()
	defer p.Mu.Unlock()
	p.next = next
}
