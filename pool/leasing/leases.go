package leasing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/pool/steps"
	"github.com/hostler-project/hostler/store"
)

// Leases finds, renews and ends leases.
type Leases struct {
	core    *state.Core
	clock   *state.Clock
	records *Records
}

func NewLeases(c *state.Core, cl *state.Clock, r *Records) *Leases { return &Leases{c, cl, r} }

// LookUp finds an instance by its name, or by the name or id of a living lease. The lease is nil if
// the instance has none. If several leases have parts of it, it returns the caller's own.
func (p *Leases) LookUp(tx store.Tx, who compute.Who, name string) (*compute.Instance, *compute.Lease, error) {
	if name == "" { // the name of leases without one
		return nil, nil, &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("an empty name"), Hint: "is a variable not set?"}
	}
	if isID(name) { // nearly always a lease's
		if l, err := tx.Lease(name); err == nil && l.Ended.IsZero() {
			i, err := tx.Instance(l.Instance)
			return i, l, err
		} else if err != nil && !errors.Is(err, compute.ErrNotFound) {
			return nil, nil, err
		}
	}
	i, err := tx.Instance(compute.ID(name))
	if errors.Is(err, compute.ErrNotFound) {
		l, e := leaseNamed(tx, who, name)
		if e != nil || l == nil {
			return nil, nil, errors.Join(e, p.unknown(name, e))
		}
		i, err = tx.Instance(l.Instance)
		return i, l, err
	} else if err != nil {
		return nil, nil, err
	}
	l, err := tx.LeaseOf(i.ID)
	if errors.Is(err, compute.ErrNotFound) {
		l, err = nil, nil
		if i.State == compute.Leased {
			l, err = p.shareOf(tx, who, i)
		}
	}
	return i, l, err
}

// unknown returns the error for a name of no instance or lease. It returns nil if other is set,
// as that error is told instead.
func (p *Leases) unknown(name string, other error) error {
	if other != nil {
		return nil
	}
	hint := "`hostler status -v` shows those that there are"
	if _, ok := p.core.Sources[name]; ok {
		hint = "there is a source of this name: `hostler acquire -s " + name + "` gets an instance of it"
	}
	return &compute.Error{ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no instance or lease of this name"), Hint: hint}
}

// leaseNamed finds a living lease by its name or id; nil: there is none. Each project may have one
// of a name: meant chooses.
func leaseNamed(tx store.Tx, who compute.Who, name string) (*compute.Lease, error) {
	ls, err := tx.Leases(inventory.LeaseQuery{Name: name})
	if err != nil {
		return nil, err
	}
	if len(ls) == 1 {
		return ls[0], nil
	}
	if len(ls) > 1 && who.Owner == "" && who.Within == nil { // no particular user asks
		return ls[0], nil
	}
	if len(ls) > 1 {
		return meant(who, compute.ID(name), ls, "leases of several projects have this name", "name the lease by its id")
	}
	l, err := tx.Lease(name)
	if errors.Is(err, compute.ErrNotFound) || err == nil && !l.Ended.IsZero() {
		return nil, nil
	}
	return l, err
}

// Authorize is the check of every act under a lease: the lease lives, it is the caller's, and it is
// the newest.
func (p *Leases) Authorize(tx store.Tx, who compute.Who, name compute.ID) (*compute.Instance, *compute.Lease, error) {
	i, l, err := p.LookUp(tx, who, string(name))
	if _, source := p.core.Sources[string(name)]; !source && errors.Is(err, compute.ErrNotFound) {
		err = p.isReportedEnded(tx, who, name, err) // reads all ended ones; `run SOURCE` needs none
	}
	if err != nil {
		return nil, nil, err
	}
	if who.Lease != "" && i.Wanted == who.Lease && who.Within == nil {
		switch i.State { // a hook's token
		case compute.Creating, compute.SettingUp, compute.Cleaning, compute.Discarding:
			// a machine that stays is never set up
			return i, &compute.Lease{ID: i.Wanted, Instance: i.ID, Source: i.Source, Owner: who.Owner, Generation: i.Generation}, nil
		}
	}
	if who.Lease != "" && l != nil && l.Pool != "" && l.ID != who.Lease {
		// A hook of an inner source names its own instance, but its token is for the pool's
		// instance in front.
		return p.Authorize(tx, who, l.Pool)
	}
	if l == nil || i.State != compute.Leased {
		return nil, nil, p.isReportedEnded(tx, who, i.ID, fault.Unleased(i))
	}
	if err := Allowed(who, l); err != nil {
		return nil, nil, err
	}
	if why, err := p.clock.OverBy(tx, l, time.Now()); err != nil {
		return nil, nil, err
	} else if why != "" {
		return nil, nil, &compute.Error{ID: i.ID, Kind: compute.ErrNotLeased, Err: fmt.Errorf("the lease has ended: %s", why),
			Hint: "`hostler acquire -s " + i.Source + "` gets another"}
	}
	if l.Generation != i.Generation {
		return nil, nil, &compute.Error{
			ID: i.ID, Kind: compute.ErrStale,
			Err: fmt.Errorf("generation %d, and the lease has %d", i.Generation, l.Generation),
		}
	}
	return i, l, nil
}

// Renew counts leases as used now and changes them, all or none.
func (p *Leases) Renew(
	ctx context.Context, who compute.Who, names []compute.ID, change func(*compute.Lease, *allocate.Source) error,
) ([]compute.Lease, error) {
	var out []compute.Lease
	err := p.core.Store.Update(ctx, func(tx store.Tx) error {
		out = nil
		var changed []*compute.Lease
		for _, name := range names {
			i, l, err := p.Authorize(tx, who, name)
			if err != nil {
				return err
			}
			if i.State == compute.Leased { // a hook's token does not run out
				l.Used = time.Now()
				if err := change(l, p.core.Sources[i.Source]); err != nil {
					return err
				}
				changed = append(changed, l)
			}
			out = append(out, *l)
		}
		for _, l := range changed {
			if err := tx.SaveLease(l); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// How long a wait for a free slot pauses between tries at most, and how long where the instance
// itself has to be asked.
const (
	slotPause     = 50 * time.Millisecond
	detachedPause = 500 * time.Millisecond
)

// Slot waits for one of the n slots of one instance, until ctx ends.
func (p *Leases) Slot(ctx context.Context, i *compute.Instance, n int, detached func(context.Context) (int,
	error)) (free func(), err error) {
	pause := time.Millisecond
	for {
		most := slotPause
		free, ok, err := p.core.Store.Slot(i.Row, n)
		if ok && err == nil {
			// It asks with the slot in hand: a command is counted there before the caller that
			// detached it gives up its own.
			if ok, err = p.besides(ctx, i.Row, n, detached); ok && err == nil {
				return free, nil
			}
			free()
			most = detachedPause
		}
		if err != nil {
			return nil, err
		}
		wait := pause
		if detached != nil {
			// two callers that want several slots each must not block each other for ever
			wait = pause/2 + rand.N(pause)
		}
		select {
		case <-ctx.Done():
			return nil, &compute.Error{
				ID: i.ID, Kind: compute.ErrTimeout,
				Err: fmt.Errorf("%d runs at once are allowed on it, and as many go on", n),
			}
		case <-time.After(wait):
		}
		pause = min(2*pause, most)
	}
}

// besides reports whether there are slots for all detached commands beside the one that was taken:
// then as many more can be had.
func (p *Leases) besides(ctx context.Context, row int64, n int, detached func(context.Context) (int, error)) (bool, error) {
	if detached == nil {
		return true, nil
	}
	left, err := detached(ctx)
	if err != nil || left >= n {
		return false, err
	}
	for range left {
		free, ok, err := p.core.Store.Slot(row, n)
		if err != nil || !ok {
			return false, err
		}
		defer free()
	}
	return true, nil
}

// isReportedEnded replaces err, that an instance is not leased or not there. If the caller's
// lease ended because its computer did, the new error says that.
func (p *Leases) isReportedEnded(tx store.Tx, who compute.Who, id compute.ID, err error) error {
	if had, e := p.HadLease(tx, who, id); e != nil || !had {
		return err
	}
	ls, e := tx.Leases(inventory.LeaseQuery{Instance: id, Ended: true, Limit: 1})
	if e != nil || len(ls) == 0 || ls[0].Cause != inventory.CauseEnded {
		return err
	}
	return &compute.Error{
		ID: id, Kind: compute.ErrNotLeased, Err: compute.Ended(fmt.Errorf("the lease has ended: %s", ls[0].Why)),
		Hint: "`hostler acquire -s " + ls[0].Source + "` gets another",
	}
}

// HadLease reports whether the instance's newest lease was the caller's, and has ended.
func (p *Leases) HadLease(tx store.Tx, who compute.Who, id compute.ID) (bool, error) {
	ls, err := tx.Leases(inventory.LeaseQuery{Instance: id, Ended: true, Limit: 1})
	if err != nil || len(ls) == 0 {
		return false, err
	}
	if who.Lease != "" {
		return who.Lease == ls[0].ID, nil
	}
	return who.Owner == ls[0].Owner, nil
}

// Allowed returns an error unless the caller may act under a lease. A caller that presents a
// lease's id acts under that one alone. A process that slept through the end of its lease must not
// go on under another, even of the same user.
func Allowed(who compute.Who, l *compute.Lease) error {
	if b := who.Within; b != nil {
		if b.Projects != nil && !slices.Contains(b.Projects, l.Project) || b.Source != "" && b.Source != l.Source {
			return &compute.Error{ID: l.Instance, Kind: compute.ErrNotFound, Err: errors.New("no instance or lease of this name")}
		}
		if who.Lease != "" && who.Owner != l.Owner && !who.Admin {
			return &compute.Error{ID: l.Instance, Kind: compute.ErrDenied, Err: fmt.Errorf("it is %s's", l.Owner)}
		}
	}
	switch {
	case who.Lease != "" && who.Lease == l.ID:
		return nil
	case who.Lease != "":
		return &compute.Error{ID: l.Instance, Kind: compute.ErrStale, Err: errors.New("it is under another lease now")}
	case who.Owner == l.Owner, who.Admin && l.Pool == "":
		return nil
	case l.Pool != "":
		return &compute.Error{ID: l.Instance, Kind: compute.ErrDenied, Err: fmt.Errorf("it is in use by a pool, as %s", l.Pool),
			Hint: fmt.Sprintf("use that name: %s", l.Pool)}
	}
	return &compute.Error{ID: l.Instance, Kind: compute.ErrDenied, Err: fmt.Errorf("it is %s's", l.Owner)}
}

// Taken is an instance in use, with its lease if that is known already.
type Taken struct {
	Instance *compute.Instance
	Lease    *compute.Lease
}

// Awaits returns how many instances of a source the requests in the queue may want.
func (p *Records) Awaits(tx store.Tx, key int64) (n int, err error) {
	ws, err := tx.Waiters()
	for _, w := range ws {
		if slices.Contains(w.Wants, key) && p.core.Waits(w) && !allocate.DemandOfWaiter(w).Chosen() {
			n += w.Count
		}
	}
	return n, err
}

// InVain reports whether an instance was cleaned for a waiting request, and nothing wants it any
// more.
func (p *Records) InVain(tx store.Tx, i *compute.Instance) (bool, error) {
	if i.Cause != inventory.CauseWaiter {
		return false, nil
	}
	rec, err := tx.SourceByKey(i.SourceKey)
	if err != nil {
		return false, err
	}
	s := p.core.Configured(rec)
	if s == nil || s.Idle > 0 || rec.Counts.Cached()+rec.Counts.InUse() <= p.Keeps(s, rec, rec.Counts.InUse()) {
		return false, nil
	}
	n, err := p.Awaits(tx, rec.Key)
	return err == nil && n == 0, err
}

// Remove removes the record of an instance by a step: its end is proved, or nothing of it was made.
func (p *Records) Remove(tx store.Tx, i *compute.Instance, s steps.Step, text string) error {
	gone := *i
	if err := p.core.Take(&gone, s); err != nil {
		return err
	}
	if err := tx.DropInstance(i); err != nil {
		return err
	}
	if _, err := tx.Append(&compute.Event{Kind: "gone", Source: i.Source, Instance: i.ID, Text: text}); err != nil {
		return err
	}
	return p.freed(tx, i)
}
