package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/leasing"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/pool/steps"
	"github.com/hostler-project/hostler/store"
)

// Health asks what has become of instances, and records those that have ended.
type Health struct {
	core      *state.Core
	providers *sources.Providers
	records   *leasing.Records
	disposal  *Disposal
	// looks at the ready instances of sources that have many, by source key
	sweeps map[int64]*sweep
}

func NewHealth(c *state.Core, p *sources.Providers, r *leasing.Records, d *Disposal) *Health {
	return &Health{core: c, providers: p, records: r, disposal: d}
}

const (
	overseeEvery = 10 * time.Second
	overseeSoon  = time.Second // where a provider says that it has news
	// for a source without instances: being overseen, its provider puts away what else it keeps
	overseeIdle = time.Minute
)

// unhand puts back an instance that was taken for a request and not yet given to its user. Its
// place did not answer, or it is in another.
func (p *Disposal) unhand(tx store.Tx, i *compute.Instance, cause error) error {
	why := "not given: its source cannot be reached"
	if e := sources.AsUnreachable(cause); e != nil {
		if e.Key != i.SourceKey {
			why = "not given: a source of the request cannot be reached"
		}
		if err := p.providers.SetUnreachable(tx, e.Key, e); err != nil {
			return err
		}
	} else {
		why = "not given: it is elsewhere"
		if err := p.providers.SetMisplaced(tx, i, cause); err != nil {
			return err
		}
	}
	ls, err := tx.Leases(inventory.LeaseQuery{Instance: i.ID})
	if err != nil {
		return err
	}
	if err := p.leases.EndAll(tx, i, allocate.Because(why)); err != nil {
		return err
	}
	i.Worker, i.Wanted, i.Fill, i.Resume = 0, "", false, 0
	i.Uses -= len(ls) // it was not used; each part of a shared one counts
	_, err = p.core.Set(tx, i, steps.PutBack, compute.Event{Kind: "released", Text: why, Data: map[string]string{"reuse": "as-is"}})
	return err
}

// OverseeAll asks the providers of sources, each in its own goroutine, what has become of their
// instances. It returns when to do so again. It seldom asks sources without instances. again is
// called when a provider had news while it was asked. If again is nil, only open providers are
// asked, and with.Done is called then.
func (p *Health) OverseeAll(ctx context.Context, l *state.SourceWorkers, with state.ReconcileOptions,
	again func()) (next time.Time, err error) {
	opens := again != nil
	if again == nil {
		again = with.Done
	}
	var recs []*store.SourceRecord
	err = p.core.Store.View(ctx, func(tx store.Tx) (err error) {
		recs, err = tx.Sources("")
		return err
	})
	now := time.Now()
	l.Mu.Lock()
	defer l.Mu.Unlock()
	for _, rec := range recs {
		o := p.providers.Ready(rec.Key)
		shut := o == nil
		if o != nil && o.Health.Watch == nil || shut && (!opens || rec.Type == allocate.PoolType || hasNone(rec)) {
			continue
		}
		idle, every := hasNone(rec), overseeEvery
		switch {
		case shut:
			every = overseeIdle // a provider that does not open
		case idle: // any other look comes to it: no process stays for that
			every = overseeIdle
		case l.News[rec.Key]:
			every = overseeSoon
		}
		due := l.Overseen[rec.Key].Add(every)
		wait := due.After(now)
		if !wait {
			due = now.Add(overseeEvery)
		}
		if !idle {
			next = state.Sooner(next, due)
		}
		if wait {
			continue
		}
		if l.Stocks[-rec.Key] { // under way
			continue
		}
		if l.Overseen == nil {
			l.Overseen = map[int64]time.Time{}
		}
		if l.Stocks == nil {
			l.Stocks = map[int64]bool{}
		}
		l.Overseen[rec.Key], l.Stocks[-rec.Key] = now, true
		delete(l.News, rec.Key)
		with.Go(func() {
			var news bool
			var err error
			if shut {
				o = p.providers.Open(ctx, rec)
			}
			if o.Err == nil && o.Health.Watch != nil { // if it does not open, status tells why
				news, err = p.oversee(ctx, rec, o)
			}
			if err != nil && ctx.Err() == nil {
				with.Failed(err)
			}
			l.Mu.Lock()
			delete(l.Stocks, -rec.Key)
			more := l.News[rec.Key]
			l.Mu.Unlock()
			if news {
				p.core.Wake()
			}
			if news {
				with.Done()
			}
			if more {
				again()
			}
		})
	}
	return next, err
}

// hasNone reports whether a source has no instance that is in use or could be given, and is not in
// doubt either.
func hasNone(rec *store.SourceRecord) bool {
	return rec.Counts.Ready+rec.Counts.Leased == 0 && !allocate.Unreachable(rec)
}

// oversee asks one provider. news says that something has changed.
func (p *Health) oversee(ctx context.Context, rec *store.SourceRecord, o *sources.Opened) (news bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, sources.OverseePatience)
	ended, cause := o.Health.Watch(bounded)
	cancel()
	if ctx.Err() != nil {
		return false, nil
	}
	// it has nothing that could not be reached, and the next request to make one finds out
	if cause != nil && hasNone(rec) {
		return false, nil
	}
	if cause != nil {
		return false, p.core.Store.Update(ctx, func(tx store.Tx) error { return p.providers.SetUnreachable(tx, rec.Key, cause) })
	}
	if allocate.Unreachable(rec) {
		news = true
		if err := p.core.Store.Update(ctx, func(tx store.Tx) error { return p.providers.SetReached(tx, rec.Key) }); err != nil {
			return false, err
		}
	}
	over := map[compute.ID]string{}
	err = p.core.Store.View(ctx, func(tx store.Tx) error {
		for id, why := range ended {
			if i, err := tx.Instance(id); err == nil && i.SourceKey == rec.Key && (i.State == compute.Leased || i.State == compute.Ready) {
				over[id] = why
			} else if err != nil && !errors.Is(err, compute.ErrNotFound) {
				return err
			}
		}
		return nil
	})
	if err != nil || len(over) == 0 {
		return news, err
	}
	err = p.disposal.WithOpen(ctx, func(tx store.Tx) error {
		for id, why := range over {
			if err := p.recordEnded(tx, id, EndedWith(why)); err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
		}
		return nil
	})
	p.core.Step("oversee:recorded")
	return true, err
}

// EndedWith is the reason that a computer is no more.
func EndedWith(why string) allocate.Reason {
	return allocate.Reason{Cause: inventory.CauseEnded, Text: "its computer has ended: " + why}
}

// recordEnded ends the use of an instance whose computer is no more. The request that is being
// handed the instance deals with it itself.
func (p *Health) recordEnded(tx store.Tx, id compute.ID, why allocate.Reason) error {
	i, err := tx.Instance(id)
	if errors.Is(err, compute.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if i.State == compute.Leased { // a pool's instance before it comes first
		l, err := tx.LeaseOf(id)
		if err != nil && !errors.Is(err, compute.ErrNotFound) {
			return err
		}
		if err == nil && l.Pool != "" {
			if err := p.recordEnded(tx, l.Pool, why); err != nil {
				return err
			}
			// its release ended that one too
			if i, err = tx.Instance(id); errors.Is(err, compute.ErrNotFound) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
	switch i.State {
	case compute.Leased:
		ls, err := tx.Leases(inventory.LeaseQuery{Instance: id})
		if err != nil {
			return err
		}
		var back []leasing.Taken
		for _, l := range ls {
			if l.Worker != 0 || l.Pool != "" {
				return nil
			}
			back = append(back, leasing.Taken{Instance: i, Lease: l})
		}
		var due []compute.ID
		return p.disposal.GiveBack(tx, back, why, true, &due)
	case compute.Ready, compute.Cleaning:
		if p.core.AtWork(i.Worker, string(i.ID)) {
			return nil
		}
		return p.records.ToDiscarding(tx, i, why)
	}
	return nil
}

const (
	// sweepRows is how many ready instances one look reads, of all sources that may have too many.
	// If there are more, the next look reads on, so that each is quick. Surplus instances can wait
	// for a few looks.
	sweepRows = 1000
	// idlersMost is how many idle instances it returns, beside the cold ones: more than one look
	// can discard.
	idlersMost = 256
)

// sweep is a look at the ready instances of a source, over several rounds if there are many.
type sweep struct {
	after   int64 // the row that was read last
	idlers  []plan.Idler
	tired   int
	touched time.Time
}

// take adds instances to a sweep.
func (w *sweep) take(is []*compute.Instance, idle time.Duration, now time.Time) {
	for _, i := range is {
		w.after = i.Row
		w.idlers = append(w.idlers, plan.Idler{ID: i.ID, Since: i.Since, Cold: i.Cold})
		if !i.Cold && now.Sub(i.Since) >= idle {
			w.tired++
		}
	}
	slices.SortStableFunc(w.idlers, func(a, b plan.Idler) int { return a.Since.Compare(b.Since) })
	warm := 0
	w.idlers = slices.DeleteFunc(w.idlers, func(i plan.Idler) bool {
		if !i.Cold {
			warm++
		}
		return !i.Cold && warm > idlersMost
	})
}

// tell puts the result of a sweep into a source's state.
func (w *sweep) tell(st *plan.SourceState) { st.Idlers, st.Tired = w.idlers, w.tired }

// SeeAll reads all ready instances of a source, and counts the cold ones.
func (p *Health) SeeAll(tx store.Tx, r *store.SourceRecord, st *plan.SourceState, now time.Time) error {
	is, err := tx.Instances(inventory.InstanceQuery{SourceKey: r.Key, States: []compute.State{compute.Ready}})
	if err != nil {
		return err
	}
	var w sweep
	w.take(is, st.Idle, now)
	w.tell(st)
	for _, i := range w.idlers {
		if i.Cold {
			st.Cold++
		}
	}
	return nil
}

// See reads ready instances of the sources for which idlers returns true, first of those that were
// read the longest ago.
func (p *Health) See(
	tx store.Tx, own map[string]*store.SourceRecord, snap plan.Snapshot, idlers func(plan.SourceState) bool,
) error {
	p.core.Mu.Lock()
	if p.sweeps == nil {
		p.sweeps = map[int64]*sweep{}
	}
	turn := map[int64]time.Time{}
	for key, w := range p.sweeps {
		turn[key] = w.touched
	}
	p.core.Mu.Unlock()
	var ask []*plan.SourceState
	for n := range snap.Sources {
		if st := &snap.Sources[n]; own[st.Name] != nil && st.ColdMost == 0 && idlers(*st) {
			ask = append(ask, st)
		}
	}
	slices.SortStableFunc(ask, func(a, b *plan.SourceState) int { return turn[own[a.Name].Key].Compare(turn[own[b.Name].Key]) })
	left := sweepRows
	for _, st := range ask {
		if left <= 0 {
			break
		}
		r := own[st.Name]
		p.core.Mu.Lock()
		w := sweep{touched: snap.Time}
		if old := p.sweeps[r.Key]; old != nil {
			w.after, w.tired, w.idlers = old.after, old.tired, slices.Clone(old.idlers)
		}
		p.core.Mu.Unlock()
		is, err := tx.Instances(inventory.InstanceQuery{
			SourceKey: r.Key, States: []compute.State{compute.Ready}, After: w.after, Limit: left,
		})
		if err != nil {
			return err
		}
		w.take(is, st.Idle, snap.Time)
		if len(is) < left { // it came to the end
			w.tell(st)
			w = sweep{touched: snap.Time}
		}
		left -= len(is)
		p.core.Mu.Lock()
		p.sweeps[r.Key] = &w
		p.core.Mu.Unlock()
	}
	return nil
}
