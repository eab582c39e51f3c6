package leasing

import (
	"context"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/sources"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/pool/steps"
	"github.com/hostler-project/hostler/store"
)

// Records joins decisions to the store: it gives them their view, writes their changes, and counts
// failures.
type Records struct {
	core      *state.Core
	providers *sources.Providers
	templates *sources.Templates
}

// Apply writes what was decided, in the order in which it was. ended, if it is not nil, tells why
// the request has ended meanwhile.
func (p *Records) Apply(tx store.Tx, changes []allocate.Change, ended func() error) error {
	for _, c := range changes {
		if ended != nil && ended() != nil {
			return ended()
		}
		if err := p.applyOne(tx, c); err != nil {
			return err
		}
	}
	return nil
}

// applyOne writes one planned change in tx. It takes the plan's numbers first, so that the names
// it planned are the ones taken.
func (p *Records) applyOne(tx store.Tx, c allocate.Change) error {
	for range c.Numbers {
		if _, err := tx.NextNumber(c.Grant.Source.Name); err != nil {
			return err
		}
	}
	switch c.Kind {
	case allocate.Leave:
		return tx.Leave(c.Waiter.ID)
	case allocate.PassOver:
		c.Waiter.Passed++
		return tx.SaveWaiter(c.Waiter)
	case allocate.Discard:
		return p.ToDiscarding(tx, c.Instance, c.Why)
	case allocate.Create:
		l := c.Grant.Lease
		e := compute.Event{Lease: c.Grant.Instance.Wanted, Owner: l.Owner, Project: l.Project}
		if child := c.Grant.Instance.Child; child != "" {
			e.Data = map[string]string{"child": string(child)}
		}
		_, err := p.core.Set(tx, c.Grant.Instance, steps.Create, e)
		return err
	case allocate.HandStanding:
		i := c.Grant.Instance
		basis, err := tx.Append(
			&compute.Event{Time: i.ReadyAt, Kind: "made", Source: i.Source, Instance: i.ID, Text: "it stands there anyway"},
		)
		if err != nil {
			return err
		}
		i.Basis = basis
		return p.Hand(tx, c.Grant, c.Pending)
	case allocate.HandOut:
		return p.Hand(tx, c.Grant, c.Pending)
	case allocate.HandPart:
		return p.HandPart(tx, c.Grant, c.Pending)
	}
	return fmt.Errorf("a change of kind %d is not known", c.Kind)
}

// Hand gives an instance to its lease: it changes one row and makes one.
func (p *Records) Hand(tx store.Tx, u *allocate.Grant, pending bool) error {
	i, l := u.Instance, u.Lease
	if err := p.advance(tx, u); err != nil {
		return err
	}
	i.Uses++
	i.Work = compute.Work{Attempts: i.Attempts}
	// else the check says whether its note is out of date
	if i.State == compute.Ready && !u.Verify {
		i.Reason, i.Cause, i.Retry = "", "", time.Time{}
	}
	l.Generation = i.Generation
	if l.Pool == "" {
		var err error
		if l.Holds, err = p.View(tx).Count(tx, u, l); err != nil {
			return err
		}
	}
	if pending {
		l.Worker = p.core.Store.Worker()
	}
	e := compute.Event{Lease: l.ID, Owner: l.Owner, Project: l.Project, Text: l.Purpose, Data: handOutData(u)}
	if _, err := p.core.Set(tx, i, steps.HandOut, e); err != nil {
		return err
	}
	return tx.InsertLease(l)
}

// handOutData returns the journal's data of a hand-out: what it rests on, and how long its
// request waited if no ready instance was there at once.
func handOutData(u *allocate.Grant) map[string]string {
	data := make(map[string]string, 2)
	if u.Instance.Basis != 0 {
		data["rests_on"] = fmt.Sprint(u.Instance.Basis)
	}
	waited := u.Waited
	if u.Fresh { // its phases include the time in the queue
		ph := u.Instance.Phases
		waited = max(waited, ph.Wait+ph.Create+ph.Connect+ph.SetUp)
	}
	if waited > 0 {
		data["waited"] = waited.Round(time.Microsecond).String()
	}
	return data
}

// advance raises an instance's generation. Machines that stay, and pools' instances in front of
// them, get new records under old names. So the generation is counted by name there, and grows all
// the same.
func (p *Records) advance(tx store.Tx, u *allocate.Grant) error {
	if o := p.providers.Ready(u.Instance.SourceKey); u.Source.Type != allocate.PoolType && (o == nil || len(o.Names) == 0) {
		u.Instance.Generation++
		return nil
	}
	n, err := tx.NextNumber("generation of " + string(u.Instance.ID))
	u.Instance.Generation = n
	return err
}

// ToDiscarding records that an instance is to be discarded. The next look for work does it.
func (p *Records) ToDiscarding(tx store.Tx, i *compute.Instance, why allocate.Reason) error {
	if steps.Of(i.State).Making {
		if err := p.unfront(tx, i, why.Text); err != nil {
			return err
		}
	}
	state.ClearWork(i, why)
	i.Attempts, i.Retry = 0, time.Time{}
	_, err := p.core.Set(tx, i, steps.Discard, compute.Event{Text: why.Text})
	return err
}

// unfront removes the pools' instances before one that was never finished. Their own part was not
// begun, and a machine that stays may soon be made again under the same name.
func (p *Records) unfront(tx store.Tx, i *compute.Instance, why string) error {
	fronts, err := tx.Instances(inventory.InstanceQuery{Child: i.ID})
	if err != nil {
		return err
	}
	for _, f := range fronts {
		if f.State != compute.Creating {
			continue
		}
		if err := p.unfront(tx, f, why); err != nil {
			return err
		}
		if err := p.Remove(tx, f, steps.Forget, why); err != nil {
			return err
		}
	}
	return nil
}

// EndLease ends a lease in the transaction that takes its instance back.
func EndLease(tx store.Tx, l *compute.Lease, why allocate.Reason) error {
	l.Ending, l.Worker = compute.Ending{Ended: time.Now(), Why: why.Text, Cause: why.Cause}, 0
	return tx.SaveLease(l)
}

// surroundings tells decisions what the engine knows beside the store.
type surroundings struct{ p *Records }

// View returns what a decision in a transaction goes by. tx may be nil where nothing is read.
func (p *Records) View(tx store.Tx) *allocate.View {
	return &allocate.View{
		Reader: tx, Surroundings: surroundings{p}, Now: time.Now(), ByName: p.core.Sources, Ordered: p.core.Ordered,
		Worker: p.core.Store.Worker(),
		Host:   p.core.Opt.Host, NewID: p.core.Opt.NewID, Quotas: p.core.Opt.Projects != nil,
	}
}

func (o surroundings) KeyOf(s *allocate.Source) int64 { return o.p.core.KeyOf(s) }

func (o surroundings) Provider(key int64) *allocate.Provider {
	is := o.p.providers.Ready(key)
	if is == nil {
		return nil
	}
	out := &allocate.Provider{Failed: is.Err != nil, Names: is.Names, Prices: is.Choice.Prices}
	if is.Static != nil {
		out.Lookup = is.Static.Lookup
	}
	if is.Health.Cache != nil {
		out.Fit = is.Health.Cache.Fit
	}
	return out
}

func (o surroundings) MadeLast(key int64) (compute.Resources, bool) { return o.p.providers.Learnt(key) }

func (o surroundings) Newest(s *allocate.Source) (allocate.Make, bool) {
	m, ok := o.p.templates.Newer(s)
	return allocate.Make{Template: m.Template, First: m.First}, ok
}

func (o surroundings) Project(name string) allocate.Project { return o.p.core.Project(name) }

func (o surroundings) Waits(w *inventory.Waiter) bool { return o.p.core.Waits(w) }

func (o surroundings) Durations(source string, now time.Time) (lease, making time.Duration) {
	return o.p.core.Throughput.Durations(source, now)
}

func (p *Records) Maximum(s *allocate.Source) int { return p.View(nil).Maximum(s) }

// Wanted returns how many instances a source should have, cached and in use together, when inUse
// are in use: as configured, or as the director aims.
func (p *Records) Wanted(s *allocate.Source, rec *store.SourceRecord, inUse int) int {
	w := max(s.Reserve, inUse+s.Spare)
	if rec != nil && rec.Target.Until.After(time.Now()) {
		w = max(rec.Target.Reserve, inUse+rec.Target.Spare)
	}
	if m := p.Maximum(s); m > 0 {
		w = min(w, m)
	}
	return w
}

// Keeps returns how many instances a source may keep when inUse are in use: the wanted ones, and
// those that may be stopped.
func (p *Records) Keeps(s *allocate.Source, rec *store.SourceRecord, inUse int) int {
	w := p.Wanted(s, rec, inUse)
	if s.Cold == 0 {
		return w
	}
	if o := p.providers.Ready(rec.Key); o == nil || !o.Stops {
		return w
	}
	if w += s.Cold; p.Maximum(s) > 0 {
		w = min(w, p.Maximum(s))
	}
	return w
}

// Wants returns the record keys of all sources that could serve a request for a source.
func (p *Records) Wants(ctx context.Context, s *allocate.Source, req compute.Request) (keys []int64, err error) {
	barred, err := p.BarredSources(s, req)
	if err != nil {
		return nil, err
	}
	for _, c := range s.All() {
		if !p.View(nil).Affords(c, req.MaxPrice) || barred[c.Name] {
			continue
		}
		rec, _, err := p.providers.Record(ctx, c)
		if err != nil {
			return nil, err
		}
		keys = append(keys, rec.Key)
	}
	return keys, nil
}

func NewRecords(c *state.Core, p *sources.Providers, t *sources.Templates) *Records {
	return &Records{c, p, t}
}
