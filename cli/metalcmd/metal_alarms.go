package metalcmd

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/director/imagecache"
)

// newMetalConfirm returns the command director confirm.
func newMetalConfirm(a *cli.App) *cobra.Command {
	var eject int
	var shrunk bool
	var during term.DurationFlag
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "Give leave to what the guards hold back: to eject many nodes, or to work by lists that have shrunk",
		Long: `Give leave, for a time, to eject up to so many nodes in spite of max-eject-fraction, all rounds together; if more are due, so many of them go and the others wait. With
--shrunk lists of nodes, images and flavors are taken as they are though they have lost more than half of what they had. Only the last leave counts: give both options for both.`,
		Example: "  hostler director confirm --eject 40\n  hostler director confirm --shrunk --for 10m",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return metalConfirm(a, cmd.Context(), eject, shrunk, cmp.Or(during.Value, time.Hour))
		},
	}
	cmd.Flags().IntVar(&eject, "eject", 0, "eject up to `N` nodes")
	cmd.Flags().BoolVar(&shrunk, "shrunk", false, "take lists as they are that have shrunk")
	cmd.Flags().Var(&during, "for", "for so long; 1h unless it is said")
	return cmd
}

// newMetalForget returns the command director forget.
func newMetalForget(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:     "forget NODE...",
		Short:   "Forget failures and quarantine of bare-metal nodes, so that images are written to them again",
		Long:    "Forget what is remembered of nodes: failures, quarantine, and directives under way. Use it when you know that nothing is under way on them any more.",
		Example: "  hostler director forget node-17",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return metalForget(a, cmd.Context(), args) },
	}
}

// metalAlarms prints the current alarms beside the result.
func metalAlarms(a *cli.App, ctx context.Context, store imagecache.Store) error {
	all, err := imagecache.Alarms(ctx, store)
	for _, alarm := range all {
		err = errors.Join(
			err,
			term.Printf(
				a.Err, "%s: alarm: %s since %s: %s\n", a.Program, alarm.What, alarm.Since.Local().Format(time.DateTime),
				term.Line(alarm.Text),
			),
		)
	}
	return err
}

// metalConfirm allows what the guards hold back.
func metalConfirm(a *cli.App, ctx context.Context, eject int, shrunk bool, during time.Duration) error {
	if eject < 0 || eject == 0 && !shrunk {
		return fault.Invalid("hostler director confirm --eject 40, or --shrunk", "leave is given to what?")
	}
	_, store, err := metalStore(a, ctx)
	if err != nil {
		return err
	}
	return imagecache.Confirm(ctx, store, imagecache.Confirmation{Ejections: eject, Shrunk: shrunk, Until: time.Now().Add(during).UTC()})
}

// metalForget forgets nodes.
func metalForget(a *cli.App, ctx context.Context, nodes []string) error {
	_, store, err := metalStore(a, ctx)
	if err != nil {
		return err
	}
	all, err := imagecache.NodeRecords(ctx, store)
	if err != nil {
		return err
	}
	var ids []string
	for _, name := range nodes {
		id := ""
		for _, f := range all {
			if f.Node == name || f.Name == name && id == "" {
				id = f.Node
			}
		}
		if id == "" {
			return &compute.Error{
				ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("nothing is remembered of this node"),
				Hint: "hostler director explain lists the nodes that something is remembered of",
			}
		}
		ids = append(ids, id)
	}
	return imagecache.Forget(ctx, store, ids...)
}
