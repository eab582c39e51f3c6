package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// Clock ends leases in time, also where a machine's clock was set.
type Clock struct{ core *Core }

// Leases end by the machine's clock, which the user may set, or NTP after a bad start. No lease is
// to end early by that. So the clock is compared with the machine's uptime, which nobody sets and
// which counts time asleep. The store keeps the last reading of both, as each command is a process
// of its own. Where the two differ by more than their drift, the clock was set. Then leases are
// extended by what the clock skipped, and so are limits on idle and held instances. A store that
// several machines share has no such note. There each process goes by its clock as it was when the
// process began.

const (
	// clocks that NTP keeps differ by much less between two notes, and the shortest leases last
	// several times as long
	clockBound = 5 * time.Second
	clockEvery = 10 * time.Minute // how often the note is written anew
	clockNote  = "clock"
)

// reading reads both clocks. It is not known without an uptime.
func (p *Clock) reading() (r proc.Reading, known bool) {
	r = proc.Read(p.core.Opt.Uptime)
	return r, r.Run != ""
}

// noteOf returns a reading as the note has it, and readingOf what the note says.
func noteOf(r proc.Reading) string { return fmt.Sprintf("%s %d %d", r.Run, r.Up, r.Wall.UnixNano()) }

func readingOf(text string) (r proc.Reading, err error) {
	var wall int64
	_, err = fmt.Sscanf(text, "%s %d %d", &r.Run, &r.Up, &wall)
	r.Wall = time.Unix(0, wall)
	return r, err
}

// drift returns by how much the clock was set forward since the last note, if that is beyond normal
// drift; below 0: back. stale says that the note is to be written anew.
func (p *Clock) drift(tx store.Tx) (by time.Duration, stale bool, err error) {
	now, known := p.reading()
	if !known {
		return 0, false, nil
	}
	var was proc.Reading
	if p.core.Opt.Host != "" {
		p.core.Inflight.Mu.Lock()
		defer p.core.Inflight.Mu.Unlock()
		if p.core.Inflight.clock.Run == "" {
			p.core.Inflight.clock = now
		}
		was = p.core.Inflight.clock
	} else {
		text, err := tx.Note(clockNote)
		if errors.Is(err, compute.ErrNotFound) {
			return 0, true, nil
		} else if err != nil {
			return 0, false, err
		}
		if was, err = readingOf(text); err != nil || was.Run != now.Run {
			// the machine was restarted, and what its clock did meanwhile is not known
			return 0, true, nil
		}
	}
	if by = now.SetBy(was); by.Abs() > clockBound {
		return by, true, nil
	}
	if stale = now.Up-was.Up >= clockEvery; stale && p.core.Opt.Host != "" {
		p.core.Inflight.clock = now
	}
	return 0, stale, nil
}

// OverBy returns why a lease has ended, as over does, by a clock that was not set forward.
func (p *Clock) OverBy(tx store.Tx, l *compute.Lease, now time.Time) (string, error) {
	why := p.Over(l, now)
	if why == "" || !l.Ended.IsZero() {
		return why, nil
	}
	by, _, err := p.drift(tx)
	if err == nil && by > 0 {
		why = p.Over(l, now.Add(-by))
	}
	return why, err
}

// InTime returns the time by which leases are judged. Before, if the clock was set, it extends them
// by what the clock skipped.
func (p *Clock) InTime(ctx context.Context, now time.Time) (time.Time, error) {
	if p.core.Opt.Uptime == nil {
		return now, nil
	}
	if p.core.Opt.Host != "" {
		by, _, err := p.drift(nil)
		if said := fmt.Sprint(by.Round(clockBound)); by != 0 && p.core.Inflight.says(said) {
			p.core.Log.Warn(
				"the clock of this machine was set while this process ran, which goes on by the old one: start it anew when the clock goes right",
				"by", by.Round(time.Second),
			)
		}
		return now.Add(-max(0, by)), err
	}
	var by time.Duration
	var stale bool
	err := p.core.Store.View(ctx, func(tx store.Tx) (err error) {
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

// says reports whether a message about the clock is due: each is logged once.
func (d *Inflight) says(what string) bool {
	d.Mu.Lock()
	defer d.Mu.Unlock()
	was := d.said
	d.said = what
	return was != what
}

// keepTime notes both clocks, and extends leases by what the clock has skipped.
func (p *Clock) keepTime(ctx context.Context) error {
	var by time.Duration
	err := p.core.Store.Update(ctx, func(tx store.Tx) error {
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
		return tx.SaveNote(clockNote, noteOf(now))
	})
	if err == nil && by != 0 {
		p.core.Log.Warn("the clock of this machine was set, and leases go on as before", "by", by.Round(time.Second))
		p.core.Wake()
	}
	return err
}

// giveTime moves recorded times after the clock was set. No lease and no instance ends early by it,
// and nothing waits for much longer than it was to.
func (p *Clock) giveTime(tx store.Tx, by time.Duration, now time.Time) error {
	ls, err := tx.Leases(inventory.LeaseQuery{})
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
			// which leases were given since is not known: they may last longer, but no longer than
			// if they were given now
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

// ageAnew keeps how long instances have been in their state, after a clock was set. The time of
// recording stays: an instance that is too old by the new clock is replaced.
func (p *Clock) ageAnew(tx store.Tx, by time.Duration, now time.Time) error {
	is, err := tx.Instances(inventory.InstanceQuery{})
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

// InOrder returns the time as if the clock had not been set forward since the last note. It decides
// whether an instance is idle or held for long enough. Where machines share a store it returns the
// clock's time. There an instance that goes early is made again, and one that stays for hours too
// long costs something.
func (p *Clock) InOrder(tx store.Tx, now time.Time) (time.Time, error) {
	if p.core.Opt.Host != "" {
		return now, nil
	}
	by, _, err := p.drift(tx)
	return now.Add(-max(0, by)), err
}

// hasten shortens waits that became too long after the clock was set back.
func (p *Clock) hasten(tx store.Tx, now time.Time) error {
	recs, err := tx.Sources("")
	if err != nil {
		return err
	}
	for _, r := range recs {
		if most := now.Add(allocate.PauseMost); r.Paused.After(most) {
			r.Paused = most
			if err := tx.SaveSource(r); err != nil {
				return err
			}
		}
	}
	is, err := tx.Instances(inventory.InstanceQuery{Busy: true})
	if err != nil {
		return err
	}
	for _, i := range is {
		if most := now.Add(RetryMost); i.Retry.After(most) {
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

// alive reports whether the process that a lease is bound to still runs.
func alive(pr compute.Process) bool {
	now, err := proc.Live(pr.PID)
	if err != nil {
		return !errors.Is(err, compute.ErrNotFound)
	}
	return now.Start == pr.Start
}

// Over returns why a lease has ended, though its instance was not taken back yet, or "".
func (p *Clock) Over(l *compute.Lease, now time.Time) string {
	switch {
	case !l.Ended.IsZero():
		return l.Why
	case !l.Expires.IsZero() && !now.Before(l.Expires):
		return fmt.Sprintf("its ttl of %v is over", l.TTL)
	case l.Idle > 0 && !now.Before(l.Used.Add(l.Idle)):
		return fmt.Sprintf("unused for %v", l.Idle)
	case l.For.PID > 0 && (l.For.Host == "" || l.For.Host == p.core.Opt.Host) && !alive(l.For):
		return fmt.Sprintf("its process %d ended", l.For.PID)
	case l.Worker != 0 && !p.core.AtWork(l.Worker, l.ID):
		return "it was never told to its user: the process that took it died"
	}
	return ""
}

func Sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Soonest returns when the next lease ends, as far as is known; zero: none will.
func (p *Clock) Soonest(ctx context.Context) (next time.Time, err error) {
	err = p.core.Store.View(ctx, func(tx store.Tx) error {
		next = time.Time{}
		ls, err := tx.Leases(inventory.LeaseQuery{Soonest: true})
		for _, l := range ls {
			next = Sooner(next, l.Deadline())
			if l.For.PID > 0 || l.Worker != 0 {
				next = Sooner(next, time.Now().Add(time.Second))
			}
		}
		return err
	})
	return next, err
}

// LearnKeys reads the record keys of the configured sources.
func (p *Core) LearnKeys(ctx context.Context) error {
	return p.Store.View(ctx, func(tx store.Tx) error {
		recs, err := tx.Sources("")
		if err != nil {
			return err
		}
		p.Mu.Lock()
		defer p.Mu.Unlock()
		for _, r := range recs {
			if s := p.Configured(r); s != nil {
				p.At(s).Key = r.Key
			}
		}
		return nil
	})
}

// NewClock makes an engine's clock.
func NewClock(c *Core) *Clock { return &Clock{c} }
