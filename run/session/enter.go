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

// maxReplacements is how many instances in a row may turn out to be dead before the command fails.
const maxReplacements = 3

// Connect connects to the instance.
func (s *Session) Connect(ctx context.Context) (compute.Conn, Way, error) {
	return s.Backend.Connect(ctx, s.Who, s.Instance)
}

// ConnectOrReplace connects to the instance under its present lease, even if the user gets the
// instance again later.
//
// An idle instance may die and be handed out before its death is known. Nothing has begun then. If
// the instance was acquired for this command, it is released as dead and another one is acquired,
// all within the request's time to wait. An instance that the user named is never replaced.
func (s *Session) ConnectOrReplace(ctx context.Context) (compute.Conn, Way, error) {
	for n := 1; ; n++ {
		s.Who.Lease = s.Lease.ID
		conn, way, err := s.Connect(ctx)
		if err == nil || s.Requested == nil || !errors.Is(err, compute.ErrEnded) || ctx.Err() != nil {
			return conn, way, err
		}
		why := s.textWithoutID(err)
		s.release(ctx, compute.ReleaseOptions{Ended: why})
		s.Temporary = false // it is released above
		if n == maxReplacements {
			return nil, Way{}, err
		}
		s.Printer.Say("%s has ended (%s): another is taken", s.Instance.ID, why)
		begin := time.Now()
		err = s.acquire(ctx, s.retryRequest())
		s.Replacing += time.Since(begin)
		if err != nil {
			return nil, Way{}, err
		}
		if s.Options.Replaced != nil {
			s.Options.Replaced(s.Lease)
		}
	}
}

// textWithoutID returns the text of an error for the user, without the instance's name.
func (s *Session) textWithoutID(err error) string {
	return strings.TrimPrefix(api.Text(err), string(s.Instance.ID)+": ")
}

// retryRequest returns the request by which the instance was acquired, with the time to wait
// that is left. No time left is not 0: a request with 0 waits for as long as making an instance
// takes.
func (s *Session) retryRequest() compute.Request {
	req := *s.Requested
	if req.Wait > 0 {
		req.Wait = max(time.Millisecond, req.Wait-time.Since(s.RequestedAt))
	}
	return req
}

// CheckDied asks, after contact was lost, whether the computer has died; nil if that is unknown.
func (s *Session) CheckDied(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, _, err := s.Connect(ctx)
	if conn != nil {
		_ = conn.Close()
	}
	if !errors.Is(err, compute.ErrEnded) {
		return nil
	}
	err = compute.Ended(fmt.Errorf("%w: %s", compute.ErrLost, s.textWithoutID(err)))
	return &compute.Error{ID: s.Instance.ID, Kind: compute.ErrLost, Err: err}
}
