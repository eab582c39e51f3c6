package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// entersMost is how many instances in a row may turn out to be dead before the command fails.
const entersMost = 3

// Connect connects to the instance.
func (s *Session) Connect(ctx context.Context) (compute.Conn, Way, error) {
	return s.Backend.Connect(ctx, s.Who, s.Instance)
}

// Enter connects to the instance under its present lease, even if the user gets the instance again
// later.
//
// An idle instance may die and be handed out before its death is known. Nothing has begun then. If
// the instance was acquired for this command, Enter releases it as dead and acquires another, all
// within the request's time to wait. An instance that the user named is never replaced.
func (s *Session) Enter(ctx context.Context) (compute.Conn, Way, error) {
	for n := 1; ; n++ {
		s.Who.Lease = s.Lease.ID
		conn, way, err := s.Connect(ctx)
		if err == nil || s.Ordered == nil || !errors.Is(err, compute.ErrEnded) || ctx.Err() != nil {
			return conn, way, err
		}
		why := s.bare(err)
		s.release(ctx, compute.ReleaseOptions{Ended: why})
		s.Temporary = false // it is released above
		if n == entersMost {
			return nil, Way{}, err
		}
		s.Printer.Say("%s has ended (%s): another is taken", s.Instance.ID, why)
		begin := time.Now()
		err = s.acquire(ctx, s.again())
		s.Retaken += time.Since(begin)
		if err != nil {
			return nil, Way{}, err
		}
		if s.Options.Moved != nil {
			s.Options.Moved(s.Lease)
		}
	}
}

// bare returns the text of an error for the user, without the instance's name.
func (s *Session) bare(err error) string {
	return strings.TrimPrefix(api.Text(err), string(s.Instance.ID)+": ")
}

// again returns the request by which the instance was acquired, with the time to wait that is left.
// No time left is not 0: a request with 0 waits for as long as making an instance takes.
func (s *Session) again() compute.Request {
	req := *s.Ordered
	if req.Wait > 0 {
		req.Wait = max(time.Millisecond, req.Wait-time.Since(s.OrderedAt))
	}
	return req
}

// Fallen asks, after contact was lost, whether the computer has died; nil if that is unknown.
func (s *Session) Fallen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, _, err := s.Connect(ctx)
	if conn != nil {
		_ = conn.Close()
	}
	if !errors.Is(err, compute.ErrEnded) {
		return nil
	}
	return &compute.Error{ID: s.Instance.ID, Kind: compute.ErrLost, Err: compute.Ended(fmt.Errorf("%w: %s", compute.ErrLost, s.bare(err)))}
}
