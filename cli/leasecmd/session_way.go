package leasecmd

import (
	"cmp"
	"context"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/sandbox"
	"github.com/hostler-project/hostler/run/session"
)

// Connect implements session.Backend.
func (b *Backend) Connect(ctx context.Context, who compute.Who, i compute.Instance) (compute.Conn, session.Way, error) {
	if b.Direct != "" {
		conn, err := b.connectDirect(ctx, i.ID)
		return conn, session.Way{Local: b.App.Here()}, err
	}
	engine, err := b.engine(ctx)
	if err != nil {
		return nil, session.Way{}, err
	}
	if b.early != nil {
		conn := <-b.early
		b.early = nil
		typ, err := b.App.Host.TypeOf(ctx, engine, i)
		if conn != nil && err == nil && b.App.Host.Kinds.Kind(typ).Dear && b.earlyFor == string(i.ID) {
			return conn, b.way(engine, i, typ), nil
		}
		closeIf(conn)
	}
	conn, typ, err := b.App.Connect(ctx, engine, who, i)
	return conn, b.way(engine, i, typ), err
}

// way describes a connection to an instance whose real source has the given type.
func (b *Backend) way(engine cli.Engine, i compute.Instance, typ string) session.Way {
	a := b.App
	kind := a.Host.Kinds.Kind(typ)
	w := session.Way{
		Local: kind.Itself && a.Here(), Thin: kind.SSH,
		Far: kind.SSH || !a.Self().Here,
	}
	w.Shown = func(ctx context.Context) bool { return kind.HostRoot && hostRoot(a, ctx, engine, i) }
	if a.Limited(i.Source) {
		w.Slot = func(ctx context.Context, conn compute.Conn) (func(), error) {
			local, err := a.Host.Engine(ctx) // a controller's instances are not limited here
			if err != nil {
				return nil, err
			}
			return local.Slot(ctx, i.ID, func(ctx context.Context) (int, error) { return provider.Detached(ctx, conn) })
		}
	}
	return w
}

// connectDirect connects to a source that is this machine itself.
func (b *Backend) connectDirect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	local, err := b.App.Host.Engine(ctx)
	if err != nil {
		return nil, err
	}
	p, err := local.Provider(ctx, b.Direct)
	if err != nil {
		return nil, err
	}
	return p.Connect(ctx, id)
}

// hostRoot reports whether an instance, perhaps of a pool, is a sandbox with this machine's own
// files. Commands can start in the user's directory there.
func hostRoot(a *cli.App, ctx context.Context, engine cli.Engine, i compute.Instance) bool {
	if !a.Here() {
		return false
	}
	leaf, err := engine.Leaf(ctx, i.ID)
	if err != nil {
		return false
	}
	s, ok := a.Source(leaf.Source)
	_, host := sandbox.HostRoot(cmp.Or(pool.MadeOf(leaf), s.Image, "host"))
	return ok && host
}
