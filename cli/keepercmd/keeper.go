package keepercmd

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/host/keeper"
	"github.com/hostler-project/hostler/host/keeper/service"
)

// NewKeeper returns the background process that commands start by themselves; see the README.
func NewKeeper(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "keeper",
		Short:   "The background process that keeps connections open and does what commands leave",
		Long:    "Commands start the keeper when they need it, and it ends by itself when it has had nothing to do for a while.",
		Example: "  hostler keeper status",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var tree string
	var idle term.DurationFlag
	run := &cobra.Command{
		Use: "serve", Short: "Be the keeper", Example: "  hostler keeper serve", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), a, tree, idle.Value) },
	}
	run.Flags().StringVar(&tree, "tree", "", "read the configuration as a command in `DIR` does")
	run.Flags().Var(&idle, "idle", "end after so long with nothing to do")
	cmd.AddCommand(
		run,
		&cobra.Command{Use: "status", Short: "Say what the keeper has", Example: "  hostler keeper status", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return keeperStatus(cmd.Context(), a) }},
		&cobra.Command{Use: "stop", Short: "Tell the keeper to end when nothing runs through it",
			Example: "  hostler keeper stop", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				socket, err := cli.KeeperSocket()
				if err != nil {
					return err
				}
				if err := keeper.Stop(cmd.Context(), socket); !errors.Is(err, keeper.ErrNone) {
					return err
				}
				return nil
			}})
	return cmd
}

// serve is the keeper, until it has nothing to do.
func serve(ctx context.Context, a *cli.App, tree string, idle time.Duration) error {
	socket, err := cli.KeeperSocket()
	if err != nil {
		return err
	}
	a.Log = slog.New(slog.NewTextHandler(a.Err, nil))
	a.Host.Log, a.Host.Tree = a.Log, tree
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	return service.Serve(ctx, a.Host, socket, idle)
}
