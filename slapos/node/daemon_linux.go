package node

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// Daemon is a node that does its passes by itself: every period, and at once when the master
// notifies it of a change.
type Daemon struct {
	Agent *Agent
	// Watch returns when the master's wishes have changed after a revision, with the next one
	// (client.Client.Watch). nil: there is no such notice.
	Watch func(ctx context.Context, after int64) (int64, error)
	// Software builds the wanted releases; changed: some were built or removed. It is called by a
	// goroutine of its own, one call at a time. nil: the caller sees to it.
	Software func(ctx context.Context, c *proto.Computer) (changed bool)
	// Before is called before each pass: the supervisor may have to be started again. nil: nothing.
	Before func(ctx context.Context) error
	// Report is a report pass, every ReportEvery. Destroy is a report pass of the partitions to
	// destroy alone: at once, and then every Period while there are such. Without Report the caller
	// sees to it; without Destroy it is Report.
	Report, Destroy func(ctx context.Context)

	Period      time.Duration // between passes where nothing has changed; 0: a minute
	ReportEvery time.Duration // 0: an hour
	// between passes over partitions that wait for other instances, or for the master; 0: 5 s
	Retry time.Duration
}

// patience is how long one partition keeps a pass from the others.
const patience = 5 * time.Second

// daemon is one that runs.
type daemon struct {
	Daemon
	bell     chan struct{}
	software chan *proto.Computer // its one place has what is wanted now
	built    chan struct{}
	reports  chan func(ctx context.Context)

	last      *proto.Computer // as it was when the last pass was done
	at        time.Time       // then
	reported  time.Time       // when the last report pass began, and
	destroyed time.Time       // the last one of what is wanted destroyed
	news      bool            // something is wanted destroyed that no report pass knows of
	offline   bool
	trouble   string        // the last message about a master that does not answer
	pause     time.Duration // after the master did not answer
}

// Run does passes until ctx ends.
func (of *Daemon) Run(ctx context.Context) error {
	d := &daemon{
		Daemon: *of, bell: make(chan struct{}, 1), software: make(chan *proto.Computer, 1), built: make(chan struct{}, 1),
		reports: make(chan func(context.Context)),
	}
	for to, or := range map[*time.Duration]time.Duration{&d.Period: time.Minute, &d.ReportEvery: time.Hour, &d.Retry: 5 * time.Second} {
		if *to <= 0 {
			*to = or
		}
	}
	a := d.Agent
	a.Retry, a.Patience = cmp.Or(a.Retry, d.Retry), cmp.Or(a.Patience, patience)
	a.ended = func() { ring(d.built) }
	var wg sync.WaitGroup
	defer a.works.wg.Wait()
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if d.Watch != nil {
		wg.Go(func() { d.watch(ctx) })
	}
	if d.Software != nil {
		wg.Go(func() { d.build(ctx) })
	}
	if d.Report != nil {
		wg.Go(func() { d.reportLoop(ctx) })
	}
	for force := true; ; {
		wait := d.pass(ctx, force)
		timer := time.NewTimer(wait)
		select {
		case <-d.bell:
			force = false
		case <-d.built:
			force = true
		case <-timer.C:
			force = true
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// watch rings when the master has something else wanted.
func (d *daemon) watch(ctx context.Context) {
	revision, pause := int64(0), time.Second
	for ctx.Err() == nil {
		asked := time.Now()
		next, err := d.Watch(ctx, revision)
		if err == nil {
			// a master that answers at once without news is not asked again at once
			least := time.Second
			if pause = least; next != revision {
				least, revision = 50*time.Millisecond, next
				ring(d.bell)
			}
			select {
			case <-time.After(least - time.Since(asked)):
			case <-ctx.Done():
			}
			continue
		}
		// it is another's master, or does not know us yet
		if pause = min(2*pause, time.Minute); errors.Is(err, client.ErrNotFound) {
			pause = 10 * time.Minute
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// build has the software that is wanted.
func (d *daemon) build(ctx context.Context) {
	for {
		select {
		case c := <-d.software:
			if d.Software(ctx, c) {
				ring(d.built)
			}
		case <-ctx.Done():
			return
		}
	}
}

// pass asks for the wishes, and applies them unless nothing is new. It returns when to look again.
func (d *daemon) pass(ctx context.Context, force bool) time.Duration {
	a := d.Agent
	c, err := a.Master.Computer(ctx, a.Computer)
	if err != nil {
		if ctx.Err() == nil {
			d.masterUnreachable(ctx, err)
		}
		d.pause = min(max(2*d.pause, d.Retry), d.Period)
		return d.pause
	}
	if d.offline || d.trouble != "" {
		a.say("The master says again what is wanted.")
	}
	d.offline, d.trouble, d.pause = false, "", 0
	same := d.last != nil && reflect.DeepEqual(withoutReports(d.last), withoutReports(c))
	if left := time.Until(d.next(c)); same && !force && left > 0 {
		return left // what we have told the master ourselves is no news
	}
	if d.Software != nil {
		select {
		case <-d.software:
		default:
		}
		d.software <- c
	}
	if d.Before != nil {
		if err := d.Before(ctx); err != nil && ctx.Err() == nil {
			a.warn("%v", err)
		}
	}
	out, err := a.Apply(ctx, c, Options{})
	if ctx.Err() != nil {
		return d.Period
	}
	if err != nil {
		a.warn("%v", err)
	}
	if text := out.Report(); text != "" {
		a.warn("%s", text)
	}
	d.last, d.at = c, time.Now()
	d.report(c, same)
	if out.Offline {
		d.offline, d.last = true, nil
		return d.Retry
	}
	return max(0, time.Until(d.next(c)))
}

// next is when there is something to be done though nothing is new.
func (d *daemon) next(c *proto.Computer) time.Time {
	now, soon, next := time.Now(), d.at.Add(d.Retry), d.at.Add(d.Period)
	for i := range c.Partitions {
		if id := c.Partitions[i].ID; plain(id) {
			left, waits := d.Agent.wait(id, now)
			at := now.Add(left)
			if at.Before(soon) {
				at = soon
			}
			if waits && at.Before(next) {
				next = at
			}
		}
	}
	return next
}

// masterUnreachable is called when the master was not reached: programs that should run are
// started, once.
func (d *daemon) masterUnreachable(ctx context.Context, err error) {
	if d.offline {
		return
	}
	if !errors.Is(err, client.ErrUnreachable) {
		if text := err.Error(); text != d.trouble { // once, though it be so for hours
			d.trouble = text
			d.Agent.warn("The master does not say what is wanted, so what runs is left as it is: %v", err)
		}
		return
	}
	d.offline = true
	if _, err := d.Agent.offline(ctx, Outcome{}, err); err != nil {
		d.Agent.warn("%v", err)
	}
}

// reportLoop makes report passes, beside all else: programs of partitions have a part in them.
func (d *daemon) reportLoop(ctx context.Context) {
	for {
		select {
		case pass := <-d.reports:
			pass(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// report has a report pass be made where something was destroyed, or one is due, and none is being
// made.
func (d *daemon) report(c *proto.Computer, same bool) {
	if d.Report == nil {
		return
	}
	destroyed := false
	for i := range c.Partitions {
		destroyed = destroyed || c.Partitions[i].Release != "" && c.Partitions[i].State == proto.Destroyed
	}
	now := time.Now()
	whole := now.Sub(d.reported) >= d.ReportEvery
	if d.news = destroyed && (d.news || !same); !whole && !d.news && !(destroyed && now.Sub(d.destroyed) >= d.Period) {
		return
	}
	pass := d.Report
	if !whole && d.Destroy != nil {
		pass = d.Destroy
	}
	select {
	case d.reports <- pass:
		if d.destroyed, d.news = now, false; whole {
			d.reported = now
		}
	default: // one is being made: next time
	}
}

// withoutReports is a computer without the parts that only repeat reports to the master.
func withoutReports(c *proto.Computer) *proto.Computer {
	w := &proto.Computer{ID: c.ID, Releases: c.Releases, Partitions: make([]proto.Partition, len(c.Partitions))}
	copy(w.Partitions, c.Partitions)
	for i := range w.Partitions {
		w.Partitions[i].AccessStatus = ""
	}
	return w
}
