package cli

import (
	_ "embed"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/compute/fault"
)

// CutWords splits words around the first one that equals sep.
func CutWords(words []string, sep string) (before, after []string, found bool) {
	if i := slices.Index(words, sep); i >= 0 {
		return words[:i], words[i+1:], true
	}
	return words, nil, false
}

// Begin runs before each command. It changes the directory, and refuses -s if the command has no
// use for it.
func (a *App) Begin(cmd *cobra.Command) error {
	if a.Flags.Source != "" && cmd.Flags().Lookup("source") == nil && cmd.Parent() != nil {
		return fault.Invalid("", "%s takes no --source", cmd.CommandPath())
	}
	if err := enterDirectory(a); err != nil {
		return err
	}
	a.LogDebug()
	a.Host.Log = a.Log
	follow(a, cmd)
	return nil
}

// TakeLateOptions takes options that followed other words: none may be empty, and -C is obeyed.
func TakeLateOptions(a *App, cmd *cobra.Command) error {
	if err := CheckEmpty(cmd, nil); err != nil {
		return err
	}
	return enterDirectory(a)
}

// enterDirectory goes to the directory of -C, once.
func enterDirectory(a *App) error {
	if a.Flags.Dir == "" || a.Began.left {
		return nil
	}
	a.Began.left = true
	if a.Host.Whole != nil {
		a.Began.note()
	}
	if err := os.Chdir(a.Flags.Dir); err != nil {
		return fault.Invalid("", "-C: %w", err)
	}
	_ = os.Unsetenv("PWD") // it names the old directory
	return nil
}

// WithSource gives a command the option -s.
func (a *App) WithSource(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&a.Flags.Source, "source", "s", a.Flags.Source, "the source `NAME`")
	_ = cmd.RegisterFlagCompletionFunc("source", a.CompleteSources)
}

func First(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
