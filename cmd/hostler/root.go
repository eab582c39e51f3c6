package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

//go:embed doc.go
var manual string

// globals are the options that every command takes.
type globals struct {
	dir    string // -C
	source string // -s, before the verb or after it

	controller string // --controller
	embedded   bool   // --embedded
	project    string // --project
	ca         string // --ca
	reason     string // --reason
}

// runHostler runs a command line of the name hostler.
func runHostler(ctx context.Context, a *app, args []string) int {
	root := newRoot(a)
	args = spread(args)
	onceEach(root, args)
	root.SetArgs(args)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	cmd, err := root.ExecuteContextC(ctx)
	err = a.Interrupted(err, "")
	// the option may stand behind the one that is wrong
	if errors.Is(err, compute.ErrInvalid) && cmd != nil && cmd.Name() != "run" {
		own, _, _ := cutWords(args, "--")
		a.JSON = a.JSON || slices.Contains(own, "--json")
	}
	if err != nil && !term.Ours(err) {
		err = a.usageError(cmd, err)
	}
	a.Tell(err)
	n := term.ExitStatus(err)
	if err != nil && cmd != nil && ownStatuses(cmd) {
		n = runStatus(err)
	}
	a.traces.end(err, n)
	return n
}

// cutWords cuts words around the first that is sep.
func cutWords(words []string, sep string) (before, after []string, found bool) {
	if i := slices.Index(words, sep); i >= 0 {
		return words[:i], words[i+1:], true
	}
	return words, nil, false
}

// usageError gives cobra's own complaints (unknown verbs and the numbers of arguments) their kind
// and a hint.
func (a *app) usageError(cmd *cobra.Command, err error) error {
	text := strings.TrimSuffix(strings.SplitN(err.Error(), "\n", 2)[0], ".")
	if name, ok := strings.CutPrefix(text, "unknown command "); ok {
		name, _, _ = strings.Cut(strings.TrimPrefix(name, `"`), `"`)
		return unknownCommand(cmd, name)
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

// leadingNumber is the first number in a text.
func leadingNumber(text string) int {
	digits := strings.FieldsFunc(text, func(c rune) bool { return c < '0' || c > '9' })
	n, _ := strconv.Atoi(first(digits))
	return n
}

// unknownCommand is the error for a word that is none of a command's own.
func unknownCommand(cmd *cobra.Command, name string) error {
	var verbs []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			verbs = append(verbs, c.Name())
		}
	}
	return fault.Invalid(term.DidYouMean(name, verbs, cmd.CommandPath()+" "), "unknown command %q", name)
}

// newHelp is cobra's own, which takes an unknown word for a wish to see the usage.
func newHelp() *cobra.Command {
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
			return unknownCommand(c, first(append(rest, args...)))
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (out candidates, _ cobra.ShellCompDirective) {
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

// newRoot makes the tree of commands. It opens nothing: what a command needs is opened when it
// runs.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:               "hostler",
		Short:             "Hostler keeps computers ready: ask for one, use it, give it back",
		Long:              manualText(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		TraverseChildren:  true, // -s before the verb
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Example:           "  hostler run sandbox -- make test\n  hostler acquire -s web && hostler status",
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q for %q", args[0], "hostler")
			}
			if asked, _ := cmd.Flags().GetBool("version"); asked {
				return a.printVersion()
			}
			return a.shortHelp(cmd)
		},
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			if err := checkEmpty(cmd, args); err != nil {
				return err
			}
			return a.begin(cmd)
		},
	}
	root.SetFlagErrorFunc(flagError)
	p := root.PersistentFlags()
	p.StringVarP(&a.flags.dir, "directory", "C", "", "work in `DIR` instead of the current directory")
	p.StringVar(&a.Host.ConfigDir, "config", "", "read `DIR` before the other roots of configuration")
	p.BoolVar(&a.JSON, "json", false, "print JSON; see docs/json.md")
	p.BoolVarP(&a.Quiet, "quiet", "q", false, "print only results and errors")
	p.BoolVar(&a.Debug, "debug", false, "say on standard error what is done")
	p.StringVar(&a.flags.controller, "controller", "", "ask the controller at `URL`, or at the socket unix:PATH")
	p.BoolVar(&a.flags.embedded, "embedded", false, "ask no controller, though there is one")
	p.StringVar(&a.flags.project, "project", "", "work in the project `NAME` of the controller; $HOSTLER_PROJECT unless it is said")
	p.StringVar(
		&a.flags.reason, "reason", "",
		"say why, in `WORDS` that the controller's audit log keeps; $HOSTLER_REASON unless it is said",
	)
	_ = root.RegisterFlagCompletionFunc("project", a.completeProjects)
	p.StringVar(&a.flags.ca, "ca", "", "trust the authority in `FILE` for the certificate of --controller; $HOSTLER_CA unless it is said")
	_ = root.MarkPersistentFlagFilename("ca")
	root.Flags().StringVarP(&a.flags.source, "source", "s", "", "use the source `NAME`; goes before the verb or after it")
	_ = root.RegisterFlagCompletionFunc("source", a.completeSources)
	_ = root.MarkPersistentFlagDirname("directory")
	_ = root.MarkPersistentFlagDirname("config")

	root.AddGroup(
		&cobra.Group{ID: "use", Title: "Use computers:"}, &cobra.Group{ID: "keep", Title: "Keep them:"},
		&cobra.Group{ID: "set", Title: "Set up and look:"},
	)
	for group, commands := range map[string][]func(*app) *cobra.Command{
		"use": {newAcquire, newRun, newWatch, newShell, newCp, newForward, newSSH, newSSHConfig, newInventory, newGitlab,
			newRelease, newExtend, newStatus, newDeploy, newList, newDestroy, newCloud, newSlapos,
			newRuns, newLogs, newRerun, newAttach, newJob},
		"keep": {newFill, newPlan, newDirector, newHold, newDiscard, newQueue, newNode, newEvents, newWebhook, newFacts},
		"set": {
			newSource, newBundle, newApply, newDiff, newImage, newConfig, newTrust, newDoctor, newServe, newReload,
			newLogin, newLogout, newToken, newKeeper, newStore, newCompat, newTop, newCompletion, newVersion,
		},
		"": {newDocs, newAgent, newStand, newRecorder, newSSHProxy},
	} {
		for _, make := range commands {
			cmd := make(a)
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	root.Flags().BoolP("version", "v", false, "print the version")
	root.SetHelpCommand(newHelp())
	root.SetHelpCommandGroupID("set")
	return root
}

// begin is done before each command: the directory, and a source given where none is wanted.
func (a *app) begin(cmd *cobra.Command) error {
	if a.flags.source != "" && cmd.Flags().Lookup("source") == nil && cmd.Parent() != nil {
		return fault.Invalid("", "%s takes no --source", cmd.CommandPath())
	}
	if a.flags.dir != "" {
		if err := os.Chdir(a.flags.dir); err != nil {
			return fault.Invalid("", "-C: %w", err)
		}
		_ = os.Unsetenv("PWD") // what it said is true no more
	}
	a.LogDebug()
	a.Host.Log = a.Log
	a.follow(cmd)
	return nil
}

// withSource gives a command the option -s.
func (a *app) withSource(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&a.flags.source, "source", "s", a.flags.source, "the source `NAME`")
	_ = cmd.RegisterFlagCompletionFunc("source", a.completeSources)
}

// flagError names the nearest option that the command has.
func flagError(cmd *cobra.Command, err error) error {
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
		text = strings.Trim(strings.TrimSuffix(option, " flag"), `"`) + ": " + value + " is not a number that it takes"
	}
	return fault.Invalid(hint, "%s", text)
}

// shortHelp is what hostler alone says.
func (a *app) shortHelp(cmd *cobra.Command) error {
	return term.Printf(a.Out, `%s
Hostler keeps computers ready: ask for one, use it as if it were local, give it back.

  %-33s obtain a computer, run a command on it, give it back
  hostler status                    what there is
  hostler help                      all commands
  hostler doctor                    what works on this machine
`, versionLine(), "hostler run "+defaultSource+" -- make test")
}

// manualText is the comment of this package, doc.go, as the text of `hostler help`.
func manualText() string {
	_, text, _ := strings.Cut(manual, "/*\n")
	text, _, _ = strings.Cut(text, "\n*/")
	return strings.ReplaceAll(text, "\n\t", "\n  ")
}
