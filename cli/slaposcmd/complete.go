package slaposcmd

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute/fault"
)

func newComplete(s *session.Session) *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	shell := ""
	cmd := &cobra.Command{
		Use:   "complete [bash|zsh|fish]",
		Short: "Print the shell's completion script for the program slapos",
		Long: `Print a script that makes the shell complete command lines of slapos, the link that hostler compat install makes: commands, options, aliases, and the
titles, releases and computers that the master knows at that moment. Those of hostler slapos are completed by hostler completion.

  bash  slapos complete >~/.local/share/bash-completion/completions/slapos
  zsh   slapos complete zsh >"${fpath[1]}/_slapos"
  fish  slapos complete fish >~/.config/fish/completions/slapos.fish`,
		Example:   "  source <(hostler slapos complete bash)",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: shells,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && shell == "" {
				shell = args[0]
			} else if shell == "" {
				shell = shells[0]
			}
			if !slices.Contains(shells, shell) {
				return fault.Invalid("", "--shell %s: bash, zsh or fish", shell)
			}
			return s.App.CompletionScript(newRoot(s.App), shell)
		},
	}
	cmd.Flags().StringVar(&shell, "shell", "", "print that of `SHELL`: bash, zsh or fish")
	_ = cmd.RegisterFlagCompletionFunc("shell", cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.Flags().MarkHidden("shell") // as SlapOS's own command has it
	return cmd
}
