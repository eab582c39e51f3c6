package leasecmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
)

// A computer may end while it stands ready, and be handed out before anybody knows. Who acquired it
// for a command of his own has lost nothing by that: nothing has begun.

// entersMost is how many computers in a row may turn out to have ended until the command fails for
// that.
const entersMost = 3

// Enter opens the way into the instance, under this lease or none from here on, though the same
// user may get the instance again. Where one that was acquired for this command turns out to have
// ended, it is given back as that, and the next one taken, all within the request's time to wait.
// What the user has by a name of his own is that or nothing.
func (c *Claim) Enter(ctx context.Context) (compute.Conn, string, error) {
	for n := 1; ; n++ {
		c.Who.Lease = c.Lease.ID
		conn, typ, err := c.Connect(ctx)
		if err == nil || c.Ordered == nil || !errors.Is(err, compute.ErrEnded) || ctx.Err() != nil {
			return conn, typ, err
		}
		why := c.bare(err)
		c.release(ctx, compute.ReleaseOptions{Ended: why})
		c.Temporary = false // it is given back
		if n == entersMost {
			return nil, "", err
		}
		c.App.Say("%s has ended (%s): another is taken", c.Instance.ID, why)
		begin := time.Now()
		err = c.acquire(ctx, c.Again())
		c.Retaken += time.Since(begin)
		if err != nil {
			return nil, "", err
		}
		if c.Moved != nil {
			c.Moved(c.Lease)
		}
	}
}

// bare is an error for people without the instance's name.
func (c *Claim) bare(err error) string {
	return strings.TrimPrefix(term.ErrorText(err), string(c.Instance.ID)+": ")
}

// Again is the request by which it was acquired, with what is left of its time to wait. Nothing
// left is not 0, as who does not wait has what is made for him take its time.
func (c *Claim) Again() compute.Request {
	req := *c.Ordered
	if req.Wait > 0 {
		req.Wait = max(time.Millisecond, req.Wait-time.Since(c.OrderedAt))
	}
	return req
}

// Fallen asks, after contact was lost, whether the computer has ended; nil: not that is known.
func (c *Claim) Fallen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, _, err := c.Connect(ctx)
	if closeIf(conn); !errors.Is(err, compute.ErrEnded) {
		return nil
	}
	return &compute.Error{ID: c.Instance.ID, Kind: compute.ErrLost, Err: compute.Ended(fmt.Errorf("%w: %s", compute.ErrLost, c.bare(err)))}
}
