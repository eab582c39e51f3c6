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

// entersMost is how many instances in a row may turn out to have ended until the command fails for
// that.
const entersMost = 3

// Connect opens the way into the instance.
func (s *Session) Connect(ctx context.Context) (compute.Conn, Way, error) {
	return s.Backend.Connect(ctx, s.Who, s.Instance)
}

// Enter opens the way into the instance, under this lease or none from here on, though the same
// user may get the instance again.
//
// A computer may end while it stands ready, and be handed out before anybody knows. Nothing has
// begun then, so one that was acquired for this command is given back as ended, and the next one
// taken, all within the request's time to wait. An instance that has a name of the user's choice is
// never exchanged.
func (s *Session) Enter(ctx context.Context) (compute.Conn, Way, error) {
	for n := 1; ; n++ {
		s.Who.Lease = s.Lease.ID
		conn, way, err := s.Connect(ctx)
		if err == nil || s.Ordered == nil || !errors.Is(err, compute.ErrEnded) || ctx.Err() != nil {
			return conn, way, err
		}
		why := s.bare(err)
		s.release(ctx, compute.ReleaseOptions{Ended: why})
		s.Temporary = false // it is given back
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

// bare is an error for people without the instance's name.
func (s *Session) bare(err error) string {
	return strings.TrimPrefix(api.Text(err), string(s.Instance.ID)+": ")
}

// again is the request by which the instance was acquired, with what is left of its time to wait.
// Nothing left is not 0: a request that does not wait at all has what is made for it take its time.
func (s *Session) again() compute.Request {
	req := *s.Ordered
	if req.Wait > 0 {
		req.Wait = max(time.Millisecond, req.Wait-time.Since(s.OrderedAt))
	}
	return req
}

// Fallen asks, after contact was lost, whether the computer has ended; nil: that is not known.
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
