package nodecmd

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/slapos/node/service"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// newSupervisor makes the commands about what a node runs.
func newSupervisor(s *session.Session) []*cobra.Command {
	foreground := false
	supervisord := newNodeCommand(s, &cobra.Command{
		Use:   "supervisord",
		Short: "Keep the node's programs running",
		Long: `Start the supervisor, which keeps what the partitions have in etc/run and etc/service; with --nodaemon, be it. The passes and the commands about programs start it where it does not run, unless
forbid_supervisord_automatic_launch says that somebody else does. When it ends, or is killed, the programs go on, and the next one takes them over.`,
		Example: "  hostler slapos node supervisord --nodaemon",
		Args:    cobra.NoArgs,
	}, service.NoPass, func(ctx context.Context, n *service.Node, _ []string) error {
		if foreground {
			return n.RunSupervisor(ctx, s.App.Err)
		}
		return n.StartSupervisor(ctx)
	})
	supervisord.Flags().BoolVarP(&foreground, "nodaemon", "n", false, "be the supervisor, until a signal comes")
	all := []*cobra.Command{supervisord, nodeStatusCommand(s)}
	all = append(all, programCommand(s, "start", "Start programs of this node", "started", (*supervise.Client).Start),
		programCommand(s, "stop", "Stop programs of this node", "stopped", (*supervise.Client).Stop),
		programCommand(s, "restart", "Stop and start programs of this node", "started", (*supervise.Client).Restart))
	all = append(all, nodeSignalCommand(s), nodeTailCommand(s))
	return append(all, newSupervisorctl(s))
}

// nodeSignalCommand returns the command that sends a signal to programs.
func nodeSignalCommand(s *session.Session) *cobra.Command {
	signal := newNodeCommand(s, &cobra.Command{
		Use: "signal SIGNAL NAME...", Short: "Send a signal to programs of this node",
		Long:    "Send a signal, as HUP or USR1, to programs that run." + programNames,
		Example: "  hostler slapos node signal HUP slappart0:server-on-watch", Args: cobra.MinimumNArgs(2),
	}, service.NoPass, func(ctx context.Context, n *service.Node, args []string) error {
		c, err := n.Supervisor(ctx)
		if err != nil {
			return err
		}
		return c.Signal(ctx, strings.TrimPrefix(strings.ToUpper(args[0]), "SIG"), args[1:]...)
	})
	signal.ValidArgsFunction = completePrograms(s)
	return signal
}

// nodeTailCommand returns the command that prints the end of what a program wrote.
func nodeTailCommand(s *session.Session) *cobra.Command {
	follow, bytes := false, 1600
	cmd := newNodeCommand(s, &cobra.Command{
		Use: "tail NAME", Short: "Print the end of what a program of this node has written",
		Long:    "Print the end of what a program of this node has written." + programNames,
		Example: "  hostler slapos node tail slappart0:server-on-watch -f", Args: cobra.ExactArgs(1),
	}, service.NoPass, func(ctx context.Context, n *service.Node, args []string) error {
		c, err := n.Supervisor(ctx)
		if err != nil {
			return err
		}
		return c.Tail(ctx, s.App.Out, args[0], bytes, follow)
	})
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what it writes")
	cmd.Flags().IntVar(&bytes, "bytes", bytes, "print the last `N` bytes")
	cmd.ValidArgsFunction = completePrograms(s)
	return cmd
}

// nodeStatusCommand returns the command that prints how programs are.
func nodeStatusCommand(s *session.Session) *cobra.Command {
	cmd := newNodeCommand(s, &cobra.Command{
		Use: "status [NAME...]", Short: "Say how the programs of this node are",
		Long:    "Say how the programs of this node are. Exit status 3: some of them do not run." + programNames,
		Example: "  hostler slapos node status\n  hostler slapos node status slappart0",
	}, service.NoPass, func(ctx context.Context, n *service.Node, args []string) error { return printStatus(ctx, s, n, args) })
	cmd.ValidArgsFunction = completePrograms(s)
	return cmd
}

// printStatus prints the state of programs. Its exit status tells if one of them does not run.
func printStatus(ctx context.Context, s *session.Session, n *service.Node, names []string) error {
	c, err := n.Supervisor(ctx)
	if err != nil {
		return err
	}
	programs, err := c.Status(ctx, names...)
	if err != nil {
		return err
	}
	if s.App.JSON {
		err = s.App.PrintJSON(programViews(programs))
	} else {
		err = printPrograms(s.App.Out, programs, time.Now())
	}
	for _, p := range programs {
		if err == nil && p.State != supervise.Running {
			return term.Exit(ExitNotRunning)
		}
	}
	return err
}
