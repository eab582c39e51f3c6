package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Leases end by the clock of the machine, which somebody may set, or NTP after a bad start. So that
// nobody's lease ends early by that, the clock is compared with another one that nobody sets and
// that goes on while the machine sleeps: how long the machine has run. When both were read together
// stands in the store, as each command is a process of its own. Where the two differ by more than
// they drift apart, the clock was set, and leases are given what it skipped; so are instances that
// go when they are idle or held for long enough. A store that several machines share has no such
// note: there each process goes by its clock as it was when it began.

const (
	// clocks that are kept by NTP stay well within it between two notes, and the shortest leases
	// last several times as long
	clockBound = 5 * time.Second
	clockEvery = 10 * time.Minute // how often the note is written anew
	clockNote  = "clock"
)

// Uptime is how long a machine has run, and which run of it that is: of another one nothing is
// known.
type Uptime struct {
	Run string // without spaces
	For time.Duration
}

// reading is both clocks read together.
type reading struct {
	up   Uptime
	wall time.Time
}

func (p *Pool) reading() (r reading, known bool) {
	if p.opt.Uptime == nil {
		return r, false
	}
	for range 10 { // this process may stand still between the two
		before, err := p.opt.Uptime()
		// without the monotonic clock, which differences would be taken by
		wall := time.Now().Round(0)
		after, e := p.opt.Uptime()
		if err != nil || e != nil || after.Run == "" {
			return r, false
		}
		if after.For-before.For < clockBound/10 {
			return reading{after, wall}, true
		}
	}
	return r, false
}

func (r reading) String() string {
	return fmt.Sprintf("%s %d %d", r.up.Run, r.up.For, r.wall.UnixNano())
}

func readingOf(text string) (r reading, err error) {
	var wall int64
	_, err = fmt.Sscanf(text, "%s %d %d", &r.up.Run, &r.up.For, &wall)
	r.wall = time.Unix(0, wall)
	return r, err
}

// drift is by how much the clock was set forward since it was last noted, where that is beyond what
// clocks drift; below 0: back. stale tells that it is to be noted anew.
func (p *Pool) drift(tx compute.Tx) (by time.Duration, stale bool, err error) {
	now, known := p.reading()
	if !known {
		return 0, false, nil
	}
	var was reading
	if p.opt.Host != "" {
		p.desk.mu.Lock()
		defer p.desk.mu.Unlock()
		if p.desk.clock.up.Run == "" {
			p.desk.clock = now
		}
		was = p.desk.clock
	} else {
		notes, ok := tx.(compute.NoteTx)
		if !ok {
			return 0, false, nil
		}
		text, err := notes.Note(clockNote)
		if errors.Is(err, compute.ErrNotFound) {
			return 0, true, nil
		} else if err != nil {
			return 0, false, err
		}
		if was, err = readingOf(text); err != nil || was.up.Run != now.up.Run {
			// the machine was started anew, and what its clock did meanwhile nobody knows
			return 0, true, nil
		}
	}
	by = now.wall.Sub(was.wall) - (now.up.For - was.up.For)
	if by.Abs() > clockBound {
		return by, true, nil
	}
	if stale = now.up.For-was.up.For >= clockEvery; stale && p.opt.Host != "" {
		p.desk.clock = now
	}
	return 0, stale, nil
}

// overBy says why a lease has ended, as over, by a clock that nobody has set forward.
func (p *Pool) overBy(tx compute.Tx, l *compute.Lease, now time.Time) (string, error) {
	why := p.over(l, now)
	if why == "" || !l.Ended.IsZero() {
		return why, nil
	}
	by, _, err := p.drift(tx)
	if err == nil && by > 0 {
		why = p.over(l, now.Add(-by))
	}
	return why, err
}

// inTime returns the time by which leases are judged. Where the clock was set they are given what
// it skipped before.
func (p *Pool) inTime(ctx context.Context, now time.Time) (time.Time, error) {
	if p.opt.Uptime == nil {
		return now, nil
	}
	if p.opt.Host != "" {
		by, _, err := p.drift(nil)
		if said := fmt.Sprint(by.Round(clockBound)); by != 0 && p.desk.says(said) {
			p.log.Warn(
				"the clock of this machine was set while this process ran, which goes on by the old one: start it anew when the clock goes right",
				"by", by.Round(time.Second),
			)
		}
		return now.Add(-max(0, by)), err
	}
	var by time.Duration
	var stale bool
	err := p.store.View(ctx, func(tx compute.Tx) (err error) {
		by, stale, err = p.drift(tx)
		return err
	})
	if err != nil || !stale {
		return now, err
	}
	if err = p.keepTime(ctx); by == 0 {
		err = nil // it is noted the next time
	}
	return time.Now(), err
}

// says tells whether something about the clock is to be said, which is so once.
func (d *Desk) says(what string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.said
	d.said = what
	return was != what
}

// keepTime notes both clocks, and gives leases what the one has skipped.
func (p *Pool) keepTime(ctx context.Context) error {
	var by time.Duration
	err := p.store.Update(ctx, func(tx compute.Tx) error {
		var err error
		var stale bool
		if by, stale, err = p.drift(tx); err != nil || !stale {
			return err
		}
		if by != 0 {
			if err := p.giveTime(tx, by, time.Now()); err != nil {
				return err
			}
		}
		now, _ := p.reading()
		notes, ok := tx.(compute.NoteTx)
		if !ok {
			return nil
		}
		return notes.SaveNote(clockNote, now.String())
	})
	if err == nil && by != 0 {
		p.log.Warn("the clock of this machine was set, and leases go on as before", "by", by.Round(time.Second))
		p.ring()
	}
	return err
}

// giveTime moves what a clock that was set stands in relation to: no lease and no instance is to
// end early by it, nor anything to wait for much longer than it was to.
func (p *Pool) giveTime(tx compute.Tx, by time.Duration, now time.Time) error {
	ls, err := tx.Leases(compute.LeaseQuery{})
	if err != nil {
		return err
	}
	for _, l := range ls {
		was := *l
		if by > 0 {
			l.Used = l.Used.Add(by)
			if !l.Expires.IsZero() {
				l.Expires = l.Expires.Add(by)
			}
		} else {
			// which of them were given since nobody can tell: they may last longer, but no longer
			// than if they were given now
			l.Used = earlier(l.Used, now)
			if l.TTL > 0 {
				l.Expires = earlier(l.Expires, now.Add(l.TTL))
			}
		}
		if l.Used.Equal(was.Used) && l.Expires.Equal(was.Expires) {
			continue
		}
		if err := tx.SaveLease(l); err != nil {
			return err
		}
	}
	if err := p.ageAnew(tx, by, now); err != nil {
		return err
	}
	if by < 0 {
		if err := p.hasten(tx, now); err != nil {
			return err
		}
	}
	way := map[bool]string{true: "forward", false: "back"}[by > 0]
	_, err = tx.Append(&compute.Event{
		Time: now, Kind: "clock",
		Text: fmt.Sprintf("the clock of the machine was set %s by %v: no lease ends early by that", way, by.Abs().Round(time.Second)),
	})
	return err
}

// ageAnew has instances be for as long in their state as they were before a clock was set. When
// they were recorded stays: one that is too old by a clock that was set is made anew.
func (p *Pool) ageAnew(tx compute.Tx, by time.Duration, now time.Time) error {
	is, err := tx.Instances(compute.InstanceQuery{})
	if err != nil {
		return err
	}
	for _, i := range is {
		was, kept := *i, i.Retry.Sub(i.Since)
		for _, t := range []*time.Time{&i.Since, &i.ReadyAt} {
			if by < 0 {
				*t = earlier(*t, now)
			} else if !t.IsZero() {
				*t = t.Add(by)
			}
		}
		if i.State == compute.Held && !i.Retry.IsZero() && !i.Since.Equal(was.Since) {
			i.Retry = i.Since.Add(kept)
		}
		if i.Since.Equal(was.Since) && i.ReadyAt.Equal(was.ReadyAt) {
			continue
		}
		if err := tx.SaveInstance(i); err != nil {
			return err
		}
	}
	return nil
}

// inOrder is the time as it would be if nobody had set the clock forward since that was last
// noticed: by it is judged whether an instance is idle or held for long enough. Where machines
// share a store it is what the clock says: an instance that goes early is made again, and one that
// stayed for the hours of a clock that went wrong costs something.
func (p *Pool) inOrder(tx compute.Tx, now time.Time) (time.Time, error) {
	if p.opt.Host != "" {
		return now, nil
	}
	by, _, err := p.drift(tx)
	return now.Add(-max(0, by)), err
}

// hasten has nothing wait longer than it may by a clock that goes right.
func (p *Pool) hasten(tx compute.Tx, now time.Time) error {
	recs, err := tx.Sources()
	if err != nil {
		return err
	}
	for _, r := range recs {
		if most := now.Add(pauseMost); r.Paused.After(most) {
			r.Paused = most
			if err := tx.SaveSource(r); err != nil {
				return err
			}
		}
	}
	is, err := tx.Instances(compute.InstanceQuery{Busy: true})
	if err != nil {
		return err
	}
	for _, i := range is {
		if most := now.Add(retryMost); i.Retry.After(most) {
			i.Retry = most
			if err := tx.SaveInstance(i); err != nil {
				return err
			}
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
