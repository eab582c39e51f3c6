package service

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/keeper"
	"github.com/hostler-project/hostler/host/program"
)

// Serve is the keeper of a host's engine on a socket, until it has nothing to do for so long. It
// uses h as host.Keeper.
func Serve(ctx context.Context, h *host.Host, socket string, idle time.Duration) error {
	h.Now, h.Role = true, host.Keeper
	engine, err := h.Engine(ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	if err != nil {
		return err
	}
	owner := host.LocalUser() // once, before other goroutines read the environment
	work := newEngines(h)
	defer work.close()
	var overseeing sync.WaitGroup
	defer overseeing.Wait()
	overseen, over := context.WithCancel(ctx)
	defer over()
	overseeing.Go(func() { work.oversee(overseen) })
	err = keeper.Serve(ctx, keeper.Options{
		Socket: socket, Build: program.Installed(), Idle: idle, Log: h.Log,
		Authorise: func(ctx context.Context, who compute.Who, id compute.ID) (keeper.Key, error) {
			lease, err := engine.Authorize(ctx, who, id)
			if err != nil && !refused(err) {
				err = &compute.Error{Op: "keeper.Authorise", ID: id, Kind: compute.ErrUnavailable, Err: err}
			}
			// One read: the source need not be in the key, as no two instances of an installation
			// have the same name.
			key := keeper.Key{Instance: lease.Instance, Generation: lease.Generation}
			if lease.Share != nil {
				key.Lease = lease.ID
			}
			return key, err
		},
		Open: func(ctx context.Context, key keeper.Key, who compute.Who) (compute.Conn, error) {
			// it has been looked at; a hook's token is what lets it in before and after a lease
			who.Owner, who.Admin = owner, true
			return connect(ctx, h.Afresh(), key, who)
		},
		Due: work.due,
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// refused reports whether an error means that the user may not use an instance, not that this is
// unknown.
func refused(err error) bool {
	return errors.Is(err, compute.ErrConflict) || errors.Is(err, compute.ErrNotFound) ||
		errors.Is(err, compute.ErrDenied) || errors.Is(err, context.Canceled)
}

// connect opens a connection by the current configuration. Closing the connection also closes what
// was opened for it, such as a provider. h is used for nothing else.
func connect(ctx context.Context, h *host.Host, key keeper.Key, who compute.Who) (compute.Conn, error) {
	engine, err := h.Engine(ctx)
	if err != nil { // its own trouble, which the client may not have
		h.Close()
		return nil, &compute.Error{Op: "keeper.Open", ID: key.Instance, Kind: compute.ErrUnavailable, Err: err}
	}
	conn, err := engine.Connect(ctx, who, key.Instance)
	if err != nil {
		h.Close()
		return nil, err
	}
	return &keptConn{conn, sync.OnceFunc(h.Close)}, nil
}

// keptConn is a connection with what was opened for it alone.
type keptConn struct {
	compute.Conn
	end func()
}

// Unwrap shows what else the connection can do.
func (c *keptConn) Unwrap() compute.Conn { return c.Conn }

// Close closes the connection first.
func (c *keptConn) Close() error {
	defer c.end()
	return c.Conn.Close()
}
