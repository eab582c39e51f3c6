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
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/journal"
	"github.com/hostler-project/hostler/pool/steps"
	"github.com/hostler-project/hostler/store"
)

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

// sourceState is what an engine knows of a source. Core.Mu guards it.
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

// Take has an instance take a step of the table: it gets the state that the step leads to. Nothing
// else sets a state.
func (p *Core) Take(i *compute.Instance, s steps.Step) error {
	from := i.State
	if i.Row == 0 {
		from = steps.None
	}
	to, err := steps.Take(from, s)
	if p.Opt.Took != nil {
		p.Opt.Took(i.ID, from, s, err)
	}
	if err != nil {
		return fmt.Errorf("instance %s: %w", i.ID, err)
	}
	i.State, i.Since = to, time.Now()
	return nil
}

// Set has an instance take a step, saves it and writes an event. The event's kind is the state's
// name unless it has one.
func (p *Core) Set(tx store.Tx, i *compute.Instance, s steps.Step, e compute.Event) (int64, error) {
	if err := p.Take(i, s); err != nil {
		return 0, err
	}
	if err := tx.SaveInstance(i); err != nil {
		return 0, err
	}
	e.Time, e.Source, e.Instance = i.Since, i.Source, i.ID
	if e.Kind == "" {
		e.Kind = string(i.State)
	}
	return tx.Append(&e)
}

// ClearWork has nobody work on an instance, for a reason. The tries to discard it stay counted.
func ClearWork(i *compute.Instance, why allocate.Reason) {
	i.Work = compute.Work{Attempts: i.Attempts}
	i.Reason, i.Cause = why.Text, why.Cause
}

// ToReady puts an instance into the cache by a step. The next hand-out rests on the event.
func (p *Core) ToReady(tx store.Tx, i *compute.Instance, s steps.Step, e compute.Event) error {
	ClearWork(i, allocate.Reason{})
	i.ReadyAt = time.Now()
	basis, err := p.Set(tx, i, s, e)
	if err != nil {
		return err
	}
	i.Basis = basis
	return tx.SaveInstance(i)
}

// ToFailed takes an instance out of use or, if its source says so, keeps it aside for a time or for
// good. s is nil if there is nothing to look at.
func (p *Core) ToFailed(tx store.Tx, i *compute.Instance, s *allocate.Source, why allocate.Reason) error {
	ClearWork(i, why)
	if _, err := p.Set(tx, i, steps.Fail, compute.Event{Text: why.Text}); err != nil || s == nil || s.OnFailure != "hold" {
		return err
	}
	e := compute.Event{Text: why.Text}
	if i.Retry = (time.Time{}); s.ConfirmDead > 0 {
		i.Retry = time.Now().Add(s.ConfirmDead)
		e.Data = map[string]string{"until": i.Retry.UTC().Format(time.RFC3339)}
	}
	_, err := p.Set(tx, i, steps.Hold, e)
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

// Woken returns the channel that the next Wake closes.
func (p *Core) Woken() <-chan struct{} {
	p.Mu.Lock()
	defer p.Mu.Unlock()
	return p.changed
}

const (
	// BootPatience is for a new instance to answer.
	BootPatience    = 15 * time.Minute
	cleanupPatience = time.Minute // for giving back what an interrupted request took
)

// Progress records how far making an instance has come, and checks that it is still ours to make.
func (p *Core) Progress(ctx context.Context, u *allocate.Grant, s steps.Step) error {
	var i compute.Instance
	err := p.Store.Update(ctx, func(tx store.Tx) error {
		if err := p.CheckOwned(tx, u.Instance); err != nil {
			return err
		}
		i = *u.Instance
		_, err := p.Set(tx, &i, s, compute.Event{Data: PhaseData(i.Phases), Project: ProjectOf(u)})
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

// PhaseData returns the phases that took any time as the data of an event, to the microsecond.
func PhaseData(ph compute.Phases) map[string]string {
	data := map[string]string{}
	for name, d := range map[string]time.Duration{"wait": ph.Wait, "create": ph.Create, "connect": ph.Connect, "set_up": ph.SetUp} {
		if d > 0 {
			data[name] = d.Round(time.Microsecond).String()
		}
	}
	return data
}

// RetryMost is the longest pause after a failed discard.
const RetryMost = 10 * time.Minute

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
				Kind: "hook-failed", Source: j.Source, Instance: j.ID, Text: fault.Message(failed),
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
		err = NoComputer(i.ID)
	}
	return chain, err
}

// NoComputer is the error of a pool's instance that has lost the real one.
func NoComputer(id compute.ID) error {
	return &compute.Error{ID: id, Kind: compute.ErrNotFound, Err: errors.New("the instance behind it is gone")}
}

// Events returns the events that a query selects.
func (p *Core) Events(ctx context.Context, q inventory.EventQuery) (out []compute.Event, err error) {
	err = p.Store.View(ctx, func(tx store.Tx) error {
		es, err := tx.Events(q)
		out = Copies(es)
		return err
	})
	return out, err
}

func Copies[T any](in []*T) []T {
	out := make([]T, len(in))
	for n, v := range in {
		out[n] = *v
	}
	return out
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
