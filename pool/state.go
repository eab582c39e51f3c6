package pool

import (
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// step calls Options.Step. Each name stands for a point at which the process may end without harm.
func (p *core) step(name string) {
	if p.opt.Step != nil {
		p.opt.Step(name)
	}
}

// set changes an instance's state and writes an event. The event's kind is the state's name unless
// it has one.
func (p *core) set(tx store.Tx, i *compute.Instance, to compute.State, e compute.Event) (int64, error) {
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

// rest has nobody work on an instance, for a reason. The tries to discard it stay counted.
func rest(i *compute.Instance, why allocate.Reason) {
	i.Work = compute.Work{Attempts: i.Attempts}
	i.Reason, i.Cause = why.Text, why.Cause
}

// toReady puts an instance into the cache. The next hand-out rests on the event.
func (p *core) toReady(tx store.Tx, i *compute.Instance, e compute.Event) error {
	rest(i, allocate.Reason{})
	i.ReadyAt = time.Now()
	basis, err := p.set(tx, i, compute.Ready, e)
	if err != nil {
		return err
	}
	i.Basis = basis
	return tx.SaveInstance(i)
}

// toDiscarding records that an instance is to be discarded. The next look for work does it.
func (p *records) toDiscarding(tx store.Tx, i *compute.Instance, why allocate.Reason) error {
	if i.State == compute.Creating || i.State == compute.SettingUp {
		if err := p.unfront(tx, i, why.Text); err != nil {
			return err
		}
	}
	rest(i, why)
	i.Attempts, i.Retry = 0, time.Time{}
	_, err := p.core.set(tx, i, compute.Discarding, compute.Event{Text: why.Text})
	return err
}

// unfront removes the pools' instances before one that was never finished. Their own part was not
// begun, and a machine that stays may soon be made again under the same name.
func (p *records) unfront(tx store.Tx, i *compute.Instance, why string) error {
	fronts, err := tx.Instances(compute.InstanceQuery{Child: i.ID})
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
		if err := p.gone(tx, f, why); err != nil {
			return err
		}
	}
	return nil
}

// toFailed takes an instance out of use or, if its source says so, keeps it aside for a time or for
// good. s is nil if there is nothing to look at.
func (p *core) toFailed(tx store.Tx, i *compute.Instance, s *Source, why allocate.Reason) error {
	rest(i, why)
	if _, err := p.set(tx, i, compute.Failed, compute.Event{Text: why.Text}); err != nil || s == nil || s.OnFailure != "hold" {
		return err
	}
	e := compute.Event{Text: why.Text}
	if i.Retry = (time.Time{}); s.ConfirmDead > 0 {
		i.Retry = time.Now().Add(s.ConfirmDead)
		e.Data = map[string]string{"until": i.Retry.UTC().Format(time.RFC3339)}
	}
	_, err := p.set(tx, i, compute.Held, e)
	return err
}

// endLease ends a lease in the transaction that takes its instance back.
func endLease(tx store.Tx, l *compute.Lease, why allocate.Reason) error {
	l.Ending, l.Worker = compute.Ending{Ended: time.Now(), Why: why.Text, Cause: why.Cause}, 0
	return tx.SaveLease(l)
}

// Wake has all waiting requests look again: something may have come free, also by another handle of
// the store.
func (p *Pool) Wake() { p.core.wake() }

// wake wakes the requests of this process that wait.
func (p *core) wake() {
	p.mu.Lock()
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	if next := p.successor(); next != nil {
		next.wake()
	}
}

// woken returns the channel that the next ring closes.
func (p *core) woken() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}
