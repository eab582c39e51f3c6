package selfcmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/provider/sandbox/enter"
	"github.com/hostler-project/hostler/provider/sandbox/watch"
	vmguest "github.com/hostler-project/hostler/provider/vm/guest"
	"github.com/hostler-project/hostler/provider/vm/jail"
	"github.com/hostler-project/hostler/remote/guest"
)

// NewAgent is the guest side, for where there is no hostler-agent. It is not for people;
// docs/agent.md has its words.
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

// RunAgent runs the words of an agent and returns the exit status.
func RunAgent(args []string) int { return guest.Main(args, version.Read().Version, agentVerbs) }

// agentVerbs are those of other packages; cmd/hostler-agent has the same.
var agentVerbs = map[string]guest.Verb{
	enter.Word: enter.Main, watch.Word: watch.Main, vmguest.BootWord: vmguest.BootMain,
	vmguest.ServeWord: vmguest.ServeMain, jail.Word: jail.Main,
}
