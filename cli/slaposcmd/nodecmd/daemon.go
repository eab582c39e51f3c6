package nodecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/slapos/node/service"
)

// NewNode returns the command of a node that makes its passes by itself.
func NewNode(a *cli.App) *cobra.Command {
	s := session.New(a)
	only := false
	cmd := newNodeCommand(s, &cobra.Command{
		Use:   "node",
		Short: "Run the SlapOS node agent",
		Long: `Do what hostler slapos node software, instance, promise and report do, again and again until a signal comes: at once when a master of ours has something else wanted, else every minute. The
file is --cfg, else $SLAPOS_CONFIGURATION, else /etc/opt/slapos/slapos.cfg. What runs is the supervisor's, and goes on when this ends. Releases are built beside all else. While it runs, passes that
are started otherwise exit with 10.`,
		Example: "  hostler node\n  hostler node --cfg slapos.cfg\n  hostler node plan",
		Args:    cobra.NoArgs,
	}, service.AllPasses, func(ctx context.Context, n *service.Node, _ []string) error { return n.Run(ctx, !only) })
	cmd.Flags().BoolVar(&only, "instance-only", false, "neither build nor remove software: that is somebody else's affair")
	s.Options(cmd.PersistentFlags())
	_ = cmd.MarkPersistentFlagFilename("cfg")
	_ = cmd.MarkPersistentFlagFilename("log-file")
	plan := newNodeCommand(s, &cobra.Command{
		Use:   "plan",
		Short: "Say what a node would do now, and why",
		Long:  "Ask the master what is wanted, look what there is on this computer, and print what a pass would do with each software release and each partition. Nothing is changed.",
		Example: `  hostler node plan
  hostler node plan --json`,
		Args: cobra.NoArgs,
	}, service.ReadOnly, func(ctx context.Context, n *service.Node, _ []string) error { return printPlan(ctx, s, n) })
	cmd.AddCommand(plan)
	cmd.SetGlobalNormalizationFunc(session.Dashed)
	return cmd
}

// printPlan prints what a pass would do.
func printPlan(ctx context.Context, s *session.Session, n *service.Node) error {
	steps, err := n.Plan(ctx)
	if err != nil {
		return err
	}
	if s.App.JSON {
		return s.App.PrintJSON(steps)
	}
	rows := make([][]string, len(steps))
	for i, one := range steps {
		rows[i] = []string{one.Kind, one.Name, one.Wanted, one.Action, one.Reason}
	}
	return s.App.Table([]string{"kind", "name", "wanted", "action", "why"}, rows)
}
