package nodecmd

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

// newSupervisorctl makes the command by which users of SlapOS say the others.
func newSupervisorctl(s *session.Session) *cobra.Command {
	ctl := &cobra.Command{
		Use: "supervisorctl", Short: "The commands about programs, by supervisord's name for them",
		Long:    "status, start, stop, restart, tail and signal, as hostler slapos node has them.",
		Example: "  hostler slapos node supervisorctl status", Args: cobra.ArbitraryArgs, RunE: s.Group,
	}
	ctl.AddCommand(nodeStatusCommand(s), programCommand(s, "start", "Start programs of this node", "started", (*supervise.Client).Start),
		programCommand(s, "stop", "Stop programs of this node", "stopped", (*supervise.Client).Stop),
		programCommand(s,
			"restart", "Stop and start programs of this node", "started", (*supervise.Client).Restart,
		), nodeSignalCommand(s), nodeTailCommand(s))
	for _, c := range ctl.Commands() {
		c.Example = strings.ReplaceAll(c.Example, "hostler slapos node ", "hostler slapos node supervisorctl ")
	}
	return ctl
}
