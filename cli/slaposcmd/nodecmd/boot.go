package nodecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/slapos/node/service"
)

func newBoot(s *session.Session) *cobra.Command {
	message := "Reboot"
	cmd := newNodeCommand(s, &cobra.Command{
		Use:   "boot",
		Short: "Bring this computer back after the machine was started",
		Long: `Wait until the interface has a global address of IPv6, format, tell the master that the machine was started, and have the next pass process every instance. Each is tried until it succeeds. It is for
what starts services with the machine.`,
		Example: "  hostler slapos node boot",
		Args:    cobra.NoArgs,
	}, service.NoPass, func(ctx context.Context, n *service.Node, _ []string) error { return n.Boot(ctx, message) })
	cmd.Flags().StringVarP(&message, "message", "m", message, "the `TEXT` that says to the master what happened")
	return cmd
}
