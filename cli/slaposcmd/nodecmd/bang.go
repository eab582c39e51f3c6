package nodecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/slapos/node/service"
)

func newBang(s *session.Session) *cobra.Command {
	var message string
	cmd := newNodeCommand(s, &cobra.Command{
		Use:     "bang",
		Short:   "Have all instances of this computer be processed again",
		Long:    `Tell the master that something happened to this computer: its nodes process all of its instances at their next pass.`,
		Example: "  hostler slapos node bang -m \"new disk\"",
		Args:    cobra.NoArgs,
	}, service.NoPass, func(ctx context.Context, n *service.Node, _ []string) error { return n.Bang(ctx, message) })
	cmd.Flags().StringVarP(&message, "message", "m", "", "the `TEXT` that says what happened")
	return cmd
}
