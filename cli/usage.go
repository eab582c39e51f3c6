package cli

import (
	"cmp"
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
)

// UsageError gives cobra's errors, such as unknown verbs and wrong numbers of arguments, a kind and
// a hint.
func (a *App) UsageError(cmd *cobra.Command, err error) error {
	text := strings.TrimSuffix(strings.SplitN(err.Error(), "\n", 2)[0], ".")
	if name, ok := strings.CutPrefix(text, "unknown command "); ok {
		name, _, _ = strings.Cut(strings.TrimPrefix(name, `"`), `"`)
		return UnknownCommand(cmd, name)
	}
	if limits, received, ok := strings.Cut(text, "received "); ok && strings.Contains(limits, "arg(s)") {
		least, n := leadingNumber(limits), leadingNumber(received)
		return wordsError(cmd, least, n, n < least && !strings.Contains(limits, "at most"))
	}
	if strings.Contains(text, "invalid argument") || strings.Contains(text, "flag") {
		return fault.Invalid("hostler help "+strings.TrimPrefix(cmd.CommandPath(), "hostler "), "%s", text)
	}
	return err
}

// wordsError is the error for too few or too many words of a command.
func wordsError(cmd *cobra.Command, allowed, given int, few bool) error {
	path := strings.TrimPrefix(cmd.CommandPath(), "hostler ")
	use := strings.TrimSuffix(cmd.UseLine(), " [flags]")
	hint := "hostler help " + path
	wanted := strings.Fields(strings.TrimPrefix(use, cmd.CommandPath()))
	if few {
		if given < len(wanted) && !strings.HasPrefix(wanted[given], "[") {
			return fault.Invalid(hint, "%s: which %s? %s", path, strings.TrimSuffix(wanted[given], "..."), use)
		}
		return fault.Invalid(hint, "%s: something is missing: %s", path, use)
	}
	if words := cmd.Flags().Args(); allowed < len(words) {
		return fault.Invalid(hint, "%s: %q is one word too many: %s", path, words[allowed], use)
	}
	return fault.Invalid(hint, "%s: there are too many words: %s", path, use)
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
	near := cmp.Or(cmd.Annotations[name], term.DidYouMean(name, verbs, cmd.CommandPath()+" "))
	switch {
	case !cmd.HasParent():
		return fault.Invalid(cmp.Or(near, cmd.CommandPath()+" help"), "unknown command %q", name)
	case len(verbs) == 0:
		return fault.Invalid("hostler help "+path, "%s takes no words of its own, and %q is one", path, name)
	}
	return fault.Invalid(near, "%s has no command %q: it has %s", path, name, strings.Join(verbs, ", "))
}

// FlagError adds the most similar option to an error about an unknown one.
func FlagError(cmd *cobra.Command, err error) error {
	text := err.Error()
	hint := "hostler help " + strings.TrimPrefix(cmd.CommandPath(), "hostler ")
	if cmd.Parent() == nil {
		hint = "hostler help"
	}
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return fault.Invalid(hint, "%s", valueText(bad))
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
	return fault.Invalid(hint, "%s", text)
}
