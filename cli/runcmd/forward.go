package runcmd

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/remote"
	"github.com/hostler-project/hostler/run/session"
)

func NewForward(a *cli.App) *cobra.Command {
	var local, reverse []string
	var anyones bool
	cmd := &cobra.Command{
		Use:   "forward INSTANCE|LEASE -L [BIND:]PORT:HOST:PORT | -R [BIND:]PORT:HOST:PORT",
		Short: "Forward ports and sockets to and from an instance, until interrupted",
		Long: `Forward connections, until interrupted: with -L what connects to a port here goes to a port as seen from the instance, with -R the other way. PORT
alone is the same port on both sides; a path in place of BIND:PORT or HOST:PORT is a socket; port 0 takes any that is free and prints
which.`,
		Example: "  hostler forward web-3 -L 8080:localhost:80\n  hostler forward build -R 9000:localhost:9000",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var specs []remote.ForwardSpec
			for i, s := range append(append([]string{}, local...), reverse...) {
				spec, err := remote.ParseForward(s, i >= len(local))
				if err != nil {
					return err
				}
				specs = append(specs, spec)
			}
			if len(specs) == 0 {
				return fault.Invalid("hostler forward "+args[0]+" -L 8080:localhost:80", "nothing to forward: -L or -R")
			}
			return forward(a, cmd.Context(), args[0], specs, anyones)
		},
		ValidArgsFunction: a.CompleteLeased,
	}
	cmd.Flags().StringArrayVarP(&local, "local", "L", nil, "listen here and connect from there: `SPEC`; may be repeated")
	cmd.Flags().StringArrayVarP(&reverse, "remote", "R", nil, "listen there and connect from here: `SPEC`; may be repeated")
	cmd.Flags().BoolVar(&anyones, "any", false, "use the instance whoever has the lease; for administrators")
	return cmd
}

// forward forwards until a signal comes, a forwarding fails, or the lease ends.
func forward(a *cli.App, ctx context.Context, name string, specs []remote.ForwardSpec, anyones bool) error {
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	c, conn, err := leasecmd.Reach(a, ctx, name, anyones)
	if err != nil {
		return err
	}
	defer conn.Close()
	// a lost connection shows only when it is used
	if way, ok := provider.As[interface{ Ping(context.Context) error }](conn); ok {
		if err := way.Ping(ctx); err != nil {
			return err
		}
	}
	interrupted := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for n := range specs {
		specs[n].Listening, specs[n].Failed = sayListening(a, specs[n]), sayRefused(a, specs[n])
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		c.Watch(ctx, cancel)
	}()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		// a controller ends it with the lease, even if no connection comes that would notice
		if way, ok := provider.As[interface{ Done() <-chan struct{} }](conn); ok {
			select {
			case <-way.Done():
				cancel(cmp.Or(c.LeaseEnd(ctx), c.CheckDied(ctx), error(&compute.Error{ID: c.Instance.ID, Kind: compute.ErrLost})))
			case <-ctx.Done():
			}
		}
	}()
	var all errgroup.Group
	for _, spec := range specs {
		all.Go(func() error {
			err := remote.Forward(ctx, conn, spec, a.Log)
			cancel(err) // the first failure ends the others
			return err
		})
	}
	err = all.Wait()
	ended := c.PreferLeaseEnd(interrupted, context.Cause(ctx))
	cancel(nil)
	<-watched
	<-gone
	switch {
	case errors.Is(ended, compute.ErrEnded):
		var why *compute.Error
		errors.As(ended, &why)
		return why
	case errors.Is(ended, session.ErrLeaseEnded):
		return &compute.Error{ID: c.Instance.ID, Kind: compute.ErrNotLeased, Err: session.ErrLeaseEnded}
	case interrupted.Err() != nil:
		return nil // the usual end
	}
	if errors.Is(ended, compute.ErrLost) {
		return ended
	}
	return err
}
