package runcmd

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute/fault"
)

// ownStatusNames are the commands that have run's exit statuses.
var ownStatusNames = []string{"run", "shell", "rerun"}

// OwnStatuses reports whether a command has run's exit statuses, not those of the kinds of errors.
func OwnStatuses(cmd *cobra.Command) bool {
	if f := cmd.Flags().Lookup("sandbox"); f != nil && f.Changed && cmd.Name() == "doctor" {
		return true
	}
	return cmd.Parent() != nil && cmd.Parent().Parent() == nil && slices.Contains(ownStatusNames, cmd.Name())
}

func helpIf(cmd *cobra.Command, ask bool) error {
	if !ask {
		return nil
	}
	return cmd.Help()
}

// splitRun splits NAME from the command. Options may stand before and after NAME. The words from
// the command's first one, or after --, belong to the command. With --source there is no NAME.
func splitRun(a *cli.App, cmd *cobra.Command, args []string) (name string, words []string, err error) {
	if cmd.ArgsLenAtDash() == 0 || len(args) == 0 {
		return "", args, nil
	}
	if a.Flags.Source != "" { // before the verb or after it
		if len(args) > 1 && args[1] == "--" && a.IsSource(args[0]) {
			return "", nil, twoNames(a, args[0])
		}
		return "", args, nil
	}
	if args[0] == "" {
		return "", nil, cli.EmptyName("")
	}
	if err := cmd.Flags().Parse(args[1:]); err != nil {
		return "", nil, cli.FlagError(cmd, err)
	}
	if err := cli.TakeLateOptions(a, cmd); err != nil {
		return "", nil, err
	}
	if a.Flags.Source != "" {
		return "", nil, twoNames(a, args[0])
	}
	return args[0], cmd.Flags().Args(), nil
}

// twoNames is the error for a NAME beside --source, where it is unclear which was meant.
func twoNames(a *cli.App, name string) error {
	return fault.Invalid("with --source, the words are the COMMAND", "--source %s and %s: one of them", a.Flags.Source, name)
}

// scriptWords returns the arguments for -c STRING; further words are the script's $1 and so on.
func scriptWords(script string, words []string) []string {
	args := []string{"sh", "-c", script}
	if len(words) > 0 {
		args = append(append(args, "sh"), words...)
	}
	return args
}
