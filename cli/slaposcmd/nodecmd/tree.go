package nodecmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
)

// New returns the commands of a node, below hostler slapos.
func New(s *session.Session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Be a computer of a master: have on this machine what is wanted there",
		Long: `Make this machine a computer of a master, and have on it what the master wants. These commands read --cfg FILE, else $SLAPOS_CONFIGURATION, else /etc/opt/slapos/slapos.cfg. Alone it is
hostler slapos node status.

Exit status: 0 done, 1 failed, 2 usage, 3 some program does not run, 10 another process does just that already; each command says more.`,
		Example: "  hostler slapos node register \"build machine\" --interface-name eth0 --master-url https://slap.example.com --master-url-web https://slapos.example.com\n  hostler slapos node status",
		Args:    cobra.ArbitraryArgs,
	}
	bare := nodeStatusCommand(s)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return s.Group(cmd, args)
		}
		bare.SetContext(cmd.Context())
		return bare.RunE(bare, nil)
	}
	cmd.AddCommand(newInstance(s), newSoftware(s), newPrune(s), newLayImage(s))
	cmd.AddCommand(newSupervisor(s)...)
	cmd.AddCommand(newPromise(s), newForward(s))
	cmd.AddCommand(newFormat(s), newBoot(s), newBang(s))
	cmd.AddCommand(newReport(s), newCollect(s))
	return cmd
}
