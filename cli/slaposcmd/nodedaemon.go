package slaposcmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
)

// nodeStepView is one of the list that `hostler node plan --json` prints.
type nodeStepView struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Wanted string `json:"wanted"`
	Action string `json:"action"`
	Reason string `json:"reason"`
	Title  string `json:"title,omitempty"`
}

// NewNode returns the command of a node that makes its passes by itself.
func NewNode(a *cli.App) *cobra.Command {
	s := &Slapos{A: a}
	only := false
	cmd := s.newNodeCommand(&cobra.Command{
		Use:   "node",
		Short: "Be a computer of a SlapOS master: have what is wanted here, at once and always",
		Long: `Do what hostler slapos node software, instance, promise and report do, again and again until a signal comes: at once when a master of ours has something else wanted, else every minute. The
file is --cfg, else $SLAPOS_CONFIGURATION, else /etc/opt/slapos/slapos.cfg. What runs is the supervisor's, and goes on when this ends. Releases are built beside all else. While it runs, passes that
are started otherwise exit with 10.`,
		Example: "  hostler node\n  hostler node --cfg slapos.cfg\n  hostler node plan",
		Args:    cobra.NoArgs,
	}, passAll, func(ctx context.Context, n *NodeCommand, _ []string) error { return n.daemon(ctx, !only) })
	cmd.Flags().BoolVar(&only, "instance-only", false, "neither build nor remove software: that is somebody else's affair")
	s.options(cmd.PersistentFlags())
	_ = cmd.MarkPersistentFlagFilename("cfg")
	_ = cmd.MarkPersistentFlagFilename("log-file")
	plan := s.newNodeCommand(&cobra.Command{
		Use:   "plan",
		Short: "Say what a node would do now, and why",
		Long:  "Ask the master what is wanted, look what there is on this computer, and print what a pass would do with each software release and each partition. Nothing is changed.",
		Example: `  hostler node plan
  hostler node plan --json`,
		Args: cobra.NoArgs,
	}, passLook, func(ctx context.Context, n *NodeCommand, _ []string) error { return n.plan(ctx) })
	cmd.AddCommand(plan)
	cmd.SetGlobalNormalizationFunc(dashed)
	return cmd
}
