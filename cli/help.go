package cli

import (
	"github.com/spf13/cobra"
)

// NewHelp returns cobra's help command, but with an error for an unknown word.
func NewHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Explain a command",
		Example: "  hostler help run",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, rest, err := cmd.Root().Find(args)
			if err == nil && c != nil && (len(rest) == 0 || !c.HasSubCommands()) {
				c.InitDefaultHelpFlag()
				return c.Help()
			}
			if c == nil {
				c = cmd.Root()
			}
			return UnknownCommand(c, First(append(rest, args...)))
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (out Candidates, _ cobra.ShellCompDirective) {
			if c, _, err := cmd.Root().Find(args); err == nil {
				for _, sub := range c.Commands() {
					if sub.IsAvailableCommand() {
						out = append(out, cobra.CompletionWithDesc(sub.Name(), sub.Short))
					}
				}
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
	}
}
