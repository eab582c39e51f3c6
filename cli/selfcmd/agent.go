package selfcmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/provider/sandbox/enter"
	"github.com/hostler-project/hostler/provider/sandbox/watch"
	"github.com/hostler-project/hostler/provider/vm/guest"
	"github.com/hostler-project/hostler/provider/vm/jail"
	"github.com/hostler-project/hostler/remote/agentcmd"
)

// NewAgent returns the guest side, for computers without hostler-agent. Only programs use it;
// docs/agent.md has its commands.
func NewAgent(*cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "agent", Short: "Be hostler's program inside of a computer", Hidden: true,
		Example: "  hostler agent serve stdio", DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if n := RunAgent(args); n != 0 {
				return term.Exit(n)
			}
			return nil
		},
	}
}

// RunAgent runs an agent's command line and returns the exit status.
func RunAgent(args []string) int { return agentcmd.Main(args, version.Read().Version, agentVerbs) }

// agentVerbs are verbs of other packages; cmd/hostler-agent has the same ones.
var agentVerbs = map[string]agentcmd.Verb{
	enter.Word: enter.Main, watch.Word: watch.Main, guest.BootWord: guest.BootMain,
	guest.ServeWord: guest.ServeMain, jail.Word: jail.Main,
}
