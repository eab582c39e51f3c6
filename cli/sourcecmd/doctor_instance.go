package sourcecmd

import (
	"context"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/doctor"
)

// doctorInstance examines one of the caller's instances.
func doctorInstance(a *cli.App, ctx context.Context, name string) ([]compute.Finding, error) {
	engine, err := a.Engine(ctx)
	if err != nil {
		return nil, err
	}
	who := a.Who(ctx, engine, name)
	lease, err := engine.Use(ctx, who, compute.ID(name))
	if err != nil {
		return nil, err
	}
	i := compute.Instance{ID: lease.Instance, Source: lease.Source}
	who.Lease = lease.ID
	typ, err := a.Host.TypeOf(ctx, engine, i)
	if err != nil {
		typ = "" // of a controller's source
	}
	return doctor.Instance(ctx, string(i.ID), a.Host.Kinds.Kind(typ), func(ctx context.Context) (compute.Conn, error) {
		conn, _, err := a.Connect(ctx, engine, who, i)
		return conn, err
	}), nil
}
