package slaposcmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/configurecmd"
	"github.com/hostler-project/hostler/cli/slaposcmd/nodecmd"
	"github.com/hostler-project/hostler/cli/slaposcmd/proxycmd"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/slaposcmd/usercmd"
)

// NewSlapos returns SlapOS's commands, below hostler slapos.
func NewSlapos(a *cli.App) *cobra.Command {
	s := session.New(a)
	cmd := &cobra.Command{
		Use:   "slapos",
		Short: "Speak to a SlapOS master: request software, say where it is to be, look what there is",
		Long: `SlapOS's own commands, with its files, output and exit statuses; hostler called by the name slapos (hostler compat install makes the link) takes the same. docs/slapos-commands.md has more.

They read the file --cfg, else $SLAPOS_CLIENT_CONFIGURATION, else ~/.slapos/slapos-client.cfg. What they do and what came of it is said on standard error; what was asked for is printed on
standard output, with --json as documents of docs/json.md.

Exit status: 0 done, 1 failed, 2 usage, or not ready yet, or not known to the master, 5 no such command.`,
		Example: "  hostler slapos supply https://software.example/demo/software.cfg COMP-1\n  hostler slapos request mydemo https://software.example/demo/software.cfg --node computer_guid=COMP-1",
		Args:    cobra.ArbitraryArgs,
		RunE:    s.Group,
	}
	s.Options(cmd.PersistentFlags())
	_ = cmd.MarkPersistentFlagFilename("cfg")
	_ = cmd.MarkPersistentFlagFilename("log-file")
	node := nodecmd.New(s)
	node.AddCommand(configurecmd.NewRegister(s))
	cmd.AddCommand(
		proxycmd.New(s), usercmd.NewRequest(s), usercmd.NewSupply(s), usercmd.NewRemove(s), usercmd.NewService(s),
		usercmd.NewComputer(s), usercmd.NewUser(s), configurecmd.NewConfigure(s), node, usercmd.NewConsole(s),
		usercmd.NewCacheLookup(s), nodecmd.NewStandalone(s), newComplete(s),
	)
	cmd.SetGlobalNormalizationFunc(session.Dashed)
	return cmd
}
