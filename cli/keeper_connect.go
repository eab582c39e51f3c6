package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host/keeper"
	"github.com/hostler-project/hostler/host/program"
)

// connect has the keeper connect if that takes long for the kind of the instance. Without a
// keeper, and for other kinds, this process connects.
func (b embedded) connect(
	ctx context.Context, engine Engine, who compute.Who, i compute.Instance, kept bool,
) (compute.Conn, string, error) {
	a, id := b.app, i.ID
	if !kept {
		conn, err := engine.Connect(ctx, who, id)
		return conn, "", err
	}
	typ, err := a.Host.TypeOf(ctx, engine, i)
	if err == nil && a.Host.Kinds.Kind(typ).Pool {
		var leaf compute.Instance
		if leaf, err = engine.Leaf(ctx, id); err == nil {
			typ, err = a.Host.TypeOf(ctx, engine, leaf)
		}
	}
	if err != nil {
		return nil, "", err
	}
	if !a.Host.Kinds.Kind(typ).Dear {
		conn, err := engine.Connect(ctx, who, id)
		return conn, typ, err
	}
	opt, err := a.keeperStart()
	if err == nil {
		var conn compute.Conn
		conn, err = keeper.Ensure(ctx, opt, keeper.Request{Build: program.Installed(), Who: who, Instance: id})
		if err == nil || !noKeeper(err) {
			return conn, typ, err
		}
	}
	a.Log.Warn("no keeper, so the connection is opened here", "err", err)
	conn, err := engine.Connect(ctx, who, id)
	return conn, typ, err
}

// DialEarly asks a running keeper for a connection to the instance that the name seems to mean,
// while this process opens the state. Both take about as long. It is a guess, so the caller must
// find out what the name means. The channel gets one connection, or nil.
func (a *App) DialEarly(ctx context.Context, who compute.Who, name string) <-chan compute.Conn {
	cfg, err := a.Host.Configuration()
	if err != nil || a.Remote != nil || !slices.ContainsFunc(cfg.Sources, func(s *config.Source) bool {
		return s.Kind.Dear && strings.HasPrefix(name, s.Name+"-")
	}) {
		return nil
	}
	socket, err := KeeperSocket()
	if err != nil {
		return nil
	}
	out := make(chan compute.Conn, 1)
	go func() { // ends with the answer or with ctx
		conn, err := keeper.Dial(ctx, socket, keeper.Request{Build: program.Installed(), Who: who, Instance: compute.ID(name)})
		if err != nil {
			conn = nil
		}
		out <- conn
	}()
	return out
}

// noKeeper reports whether an error means that there is no working keeper. Refusals, and instances
// that do not answer, are other errors.
func noKeeper(err error) bool {
	var e *compute.Error
	return errors.As(err, &e) && strings.HasPrefix(e.Op, "keeper") && !errors.Is(err, compute.ErrStale)
}
