package selfcmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
)

// NewCompletion returns the command that prints the completion script of a shell.
func NewCompletion(a *cli.App) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print the shell's completion script: commands, options, and the names of sources, instances and leases",
		Long: `Print a script that makes the shell complete hostler's command line: commands, options, and the names of sources, instances and leases as they are
at that moment.

  bash        hostler completion bash >/etc/bash_completion.d/hostler     (or ~/.local/share/bash-completion/completions/hostler)
  zsh         hostler completion zsh >"${fpath[1]}/_hostler"
  fish        hostler completion fish >~/.config/fish/completions/hostler.fish
  powershell  hostler completion powershell | Out-String | Invoke-Expression`,
		Example:   "  source <(hostler completion bash)",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: shells,
		RunE:      func(cmd *cobra.Command, args []string) error { return a.CompletionScript(cmd.Root(), args[0]) },
	}
}
