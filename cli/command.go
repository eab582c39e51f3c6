package cli

import (
	"cmp"
	_ "embed"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
)

// CutWords splits words around the first one that equals sep.
func CutWords(words []string, sep string) (before, after []string, found bool) {
	if i := slices.Index(words, sep); i >= 0 {
		return words[:i], words[i+1:], true
	}
	return words, nil, false
}

// UsageError gives cobra's errors, such as unknown verbs and wrong numbers of arguments, a kind and
// a hint.
func (a *App) UsageError(cmd *cobra.Command, err error) error {
	text := strings.TrimSuffix(strings.SplitN(err.Error(), "\n", 2)[0], ".")
	if name, ok := strings.CutPrefix(text, "unknown command "); ok {
		name, _, _ = strings.Cut(strings.TrimPrefix(name, `"`), `"`)
		return UnknownCommand(cmd, name)
	}
	if limits, received, ok := strings.Cut(text, "received "); ok && strings.Contains(limits, "arg(s)") {
		what := "there are too many words"
		if least, n := leadingNumber(limits), leadingNumber(received); n < least && !strings.Contains(limits, "at most") {
			what = "something is missing"
		}
		return fault.Invalid(
			"hostler help "+strings.TrimPrefix(cmd.CommandPath(), "hostler "), "%s: %s", what,
			strings.TrimSuffix(cmd.UseLine(), " [flags]"),
		)
	}
	if strings.Contains(text, "invalid argument") || strings.Contains(text, "flag") {
		return fault.Invalid("hostler help "+strings.TrimPrefix(cmd.CommandPath(), "hostler "), "%s", text)
	}
	return err
}

// leadingNumber returns the first number in a text.
func leadingNumber(text string) int {
	digits := strings.FieldsFunc(text, func(c rune) bool { return c < '0' || c > '9' })
	n, _ := strconv.Atoi(First(digits))
	return n
}

// UnknownCommand is the error for a word that is no subcommand of a command.
func UnknownCommand(cmd *cobra.Command, name string) error {
	var verbs []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			verbs = append(verbs, c.Name())
		}
	}
	path := strings.TrimPrefix(cmd.CommandPath(), "hostler ")
	near := term.DidYouMean(name, verbs, cmd.CommandPath()+" ")
	switch {
	case !cmd.HasParent():
		return fault.Invalid(cmp.Or(near, cmd.CommandPath()+" help"), "unknown command %q", name)
	case len(verbs) == 0:
		return fault.Invalid("hostler help "+path, "%s takes no words of its own, and %q is one", path, name)
	}
	return fault.Invalid(near, "%s has no command %q: it has %s", path, name, strings.Join(verbs, ", "))
}

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

// FlagError adds the most similar option to an error about an unknown one.
func FlagError(cmd *cobra.Command, err error) error {
	text := err.Error()
	hint := "hostler help " + strings.TrimPrefix(cmd.CommandPath(), "hostler ")
	if cmd.Parent() == nil {
		hint = "hostler help"
	}
	if name, ok := strings.CutPrefix(text, "unknown flag: --"); ok {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		if h := term.DidYouMean(name, names, "--"); h != "" {
			hint = h
		}
		text = "unknown option --" + name
	} else if strings.HasPrefix(text, "unknown shorthand flag: ") {
		text = strings.Replace(text, "unknown shorthand flag: ", "unknown option ", 1)
	}
	// invalid argument "x" for "--cores" flag: strconv...
	if before, _, ours := strings.Cut(text, ": strconv."); ours {
		value, option, _ := strings.Cut(strings.TrimPrefix(before, "invalid argument "), " for ")
		what := " is not a number that it takes"
		if strings.Contains(text, "strconv.ParseBool") {
			what = " is neither true nor false; the option alone means true"
		}
		text = strings.Trim(strings.TrimSuffix(option, " flag"), `"`) + ": " + value + what
	}
	return fault.Invalid(hint, "%s", text)
}

func First(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
