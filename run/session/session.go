package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

const (
	useEvery  = time.Minute     // how often the use of a lease is reported
	warnAhead = 5 * time.Minute // before the end of the lease
)

// ErrLeaseEnded is the cause when the session's lease has ended.
var ErrLeaseEnded = errors.New("the lease has ended")

// Options say which instance a session gets, and for how long.
type Options struct {
	Lease      string // the name of the lease; "": it has none, and ends with the command
	Keep       bool   // keep what is acquired
	KeepFailed bool   // keep it if the command fails
	Outlives   bool   // the command goes on after this process
	Any        bool   // use the instance whatever its lease
	Describe   bool   // get all facts of the instance

	Dir    string // where the command starts, as far as the request depends on it
	NoTree bool   // the command sees no directory of this machine

	// ExpiresSoon is told how long a lease lasts that the session does not renew, before its
	// end; may be nil.
	ExpiresSoon func(l compute.Lease, left time.Duration)
	// Replaced is told of an instance that was acquired in place of a dead one; may be nil.
	Replaced func(compute.Lease)
}

// Kept reports whether an acquired instance stays after the command.
func (o *Options) Kept() bool { return o.Keep || o.Lease != "" }

// Bound reports whether an acquired lease should end with this process.
func (o *Options) Bound() bool { return !o.Kept() && !o.KeepFailed && !o.Outlives }

// Session is an instance in use by one command. It was found by a name, or acquired for the command
// and is released after it.
type Session struct {
	Backend Backend
	Printer Printer
	Options Options

	Engine    Engine
	Who       compute.Who
	Instance  compute.Instance
	Lease     compute.Lease
	Temporary bool // acquired for this command alone

	Given       *compute.Lease   // already acquired for it; nil: acquire one
	Requested   *compute.Request // the request for it; nil: it was there before
	RequestedAt time.Time        // when that request was first made

	Replacing time.Duration // the time that acquiring a replacement took
	Queued    time.Duration // the time in the queue

	mu      sync.Mutex
	renewed compute.Lease // the lease as renewed by Watch; no ID: not renewed
}

// Obtain finds the instance by its own name or its lease's, or acquires one of a source.
func (s *Session) Obtain(ctx context.Context, name string) error {
	o := &s.Options
	if s.Given != nil {
		s.Lease, s.Temporary, s.Instance = *s.Given, !o.Kept(), compute.Instance{ID: s.Given.Instance, Source: s.Given.Source}
		return nil
	}
	engine, err := s.Backend.Open(ctx, name)
	if err != nil {
		return err
	}
	s.Engine = engine
	s.Who = s.Backend.Who(ctx, cmp.Or(name, o.Lease))
	s.Who.Admin = o.Any
	if name == "" && o.Lease != "" { // that lease, if it exists
		if i, l, err := engine.Resolve(ctx, o.Lease); err == nil && l != nil && l.Name == o.Lease {
			return s.Take(ctx, i)
		}
	}
	if name != "" {
		// one read in place of Resolve and Use
		lease, err := engine.Use(ctx, s.Who, compute.ID(name))
		if err == nil {
			return s.setLease(ctx, lease)
		}
		if !errors.Is(err, compute.ErrNotFound) {
			return err
		}
	}
	req, err := s.Backend.Request(ctx, name, o)
	if err != nil {
		return err
	}
	s.Requested, s.RequestedAt = &req, time.Now()
	return s.acquire(ctx, req)
}

// setLease records the lease of the session's instance.
func (s *Session) setLease(ctx context.Context, lease compute.Lease) (err error) {
	s.Lease, s.Instance = lease, compute.Instance{ID: lease.Instance, Source: lease.Source}
	if s.Options.Describe {
		s.Instance, _, err = s.Engine.Resolve(ctx, string(lease.Instance))
	}
	return err
}

// acquire acquires an instance for the command.
func (s *Session) acquire(ctx context.Context, req compute.Request) error {
	leases, queued, err := s.Backend.Acquire(ctx, req)
	s.Queued += queued
	if err != nil {
		return err
	}
	s.Temporary = !s.Options.Kept()
	return s.setLease(ctx, leases[0])
}

// Take uses an instance that is leased already.
func (s *Session) Take(ctx context.Context, i compute.Instance) (err error) {
	s.Instance = i
	s.Lease, err = s.Engine.Use(ctx, s.Who, i.ID)
	return err
}

// ReleaseTemporary releases what was acquired for this command. A failure is a warning, and the
// next command finishes the work.
func (s *Session) ReleaseTemporary(ctx context.Context) {
	if s.Temporary {
		s.release(ctx, compute.ReleaseOptions{})
	}
}

// release gives the lease back within a minute, even if ctx is done. A failure is a warning, and
// a lease that is gone already is none.
func (s *Session) release(ctx context.Context, opt compute.ReleaseOptions) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	who := compute.Who{Owner: s.Who.Owner, Lease: s.Lease.ID}
	err := s.Engine.Release(ctx, who, opt, s.Instance.ID)
	if err != nil && !errors.Is(err, compute.ErrNotLeased) && !errors.Is(err, compute.ErrStale) {
		s.Printer.Warn("%s is not given back yet: %s", s.Instance.ID, api.Text(err))
	}
	s.Backend.Released(ctx)
}

// Slot waits for the command's turn if the source limits how many run at once. The lease may end
// meanwhile, so it is checked again.
func (s *Session) Slot(ctx context.Context, way Way, conn compute.Conn) (free func(), err error) {
	if way.Slot == nil {
		return func() {}, nil
	}
	free, err = way.Slot(ctx, conn)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err == nil {
		if _, err = s.Engine.Use(ctx, s.Who, s.Instance.ID); err != nil {
			free()
		}
	}
	if errors.Is(err, ErrLeaseEnded) || errors.Is(err, compute.ErrStale) {
		err = &compute.Error{
			ID: s.Instance.ID, Kind: compute.ErrNotLeased,
			Err: errors.New("the lease ended while the command waited for its turn"),
		}
	}
	return free, err
}

// Watch renews the lease while the command runs. It warns before the end of a lease that the
// session does not renew, and calls cancel when the lease has ended.
func (s *Session) Watch(ctx context.Context, cancel context.CancelCauseFunc) {
	lease := s.Lease
	if lease.ID == "" {
		return // this machine itself, used without a lease
	}
	warned := false
	for {
		every := useEvery
		if lease.Idle > 0 {
			every = min(every, lease.Idle/3)
		}
		if left := time.Until(lease.Expires); !lease.Expires.IsZero() {
			switch {
			case s.Temporary:
				every = min(every, lease.TTL/3)
			case left > warnAhead:
				every = min(every, left-warnAhead)
			default:
				if !warned && s.Options.ExpiresSoon != nil {
					s.Options.ExpiresSoon(lease, left)
				}
				warned = true
				every = min(every, max(left, 0))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(every, 10*time.Millisecond)):
		}
		next, err := s.renew(ctx, lease)
		switch {
		case err == nil:
			if next.Expires.After(lease.Expires) {
				warned = false
			}
			lease = next
			s.mu.Lock()
			s.renewed = next
			s.mu.Unlock()
		case isLeaseEnd(err):
			cancel(fmt.Errorf("%w: %w", ErrLeaseEnded, err))
			return
		}
	}
}

// isLeaseEnd reports whether a lease could not be used because it has ended.
func isLeaseEnd(err error) bool {
	return errors.Is(err, compute.ErrConflict) || errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrDenied)
}

// LeaseEnd returns the end of the lease if contact was lost for that reason, since the end of a
// lease removes the computer at once; otherwise nil.
func (s *Session) LeaseEnd(ctx context.Context) error {
	if s.Lease.ID == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := s.Engine.Use(ctx, s.Who, s.Instance.ID); isLeaseEnd(err) {
		return fmt.Errorf("%w: %w", ErrLeaseEnded, err)
	}
	return nil
}

// Current returns the lease as it was last renewed.
func (s *Session) Current() compute.Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.renewed.ID != "" {
		return s.renewed
	}
	return s.Lease
}

// renew extends a temporary lease by its own TTL, and marks any other as used.
func (s *Session) renew(ctx context.Context, lease compute.Lease) (compute.Lease, error) {
	if s.Temporary && lease.TTL > 0 {
		leases, err := s.Engine.Extend(ctx, s.Who, 0, s.Instance.ID)
		if err != nil || len(leases) == 0 {
			return lease, err
		}
		return leases[0], nil
	}
	return s.Engine.Use(ctx, s.Who, s.Instance.ID)
}
