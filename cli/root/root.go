package root

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/exitstatus"
	"github.com/hostler-project/hostler/host/version"
)

// run runs a command line of the name hostler.
func (p *Program) run(ctx context.Context, a *cli.App, args []string) int {
	root := p.Tree(a)
	if p.Words != nil {
		args = p.Words(args)
	}
	if p.Whole != nil && !has(root, args) {
		return p.end(a, nil, args, a.Host.Whole())
	}
	onceEach(root, args)
	root.SetArgs(args)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	cmd, err := root.ExecuteContextC(ctx)
	return p.end(a, cmd, args, a.Interrupted(err, ""))
}

// has reports whether a tree has the command of a command line. Help and completion tell of all
// commands, and an error about a word compares it with all, so a tree of some has none of these.
func has(root *cobra.Command, args []string) bool {
	cmd, _, err := root.Find(args)
	return err == nil && cmd != root
}

// end tells the error of a command, and returns the exit status.
func (p *Program) end(a *cli.App, cmd *cobra.Command, args []string, err error) int {
	// the option may stand behind the one that is wrong, and was not read if there is no command
	if cmd == nil || errors.Is(err, compute.ErrInvalid) && cmd.Name() != "run" {
		own, _, _ := cli.CutWords(args, "--")
		a.JSON = a.JSON || slices.Contains(own, "--json")
	}
	if err != nil && cmd != nil && !term.Ours(err) {
		err = a.UsageError(cmd, err)
	}
	a.Tell(err)
	n := term.ExitStatus(err)
	if err != nil && cmd != nil && p.AsRun(cmd) {
		n = exitstatus.OfRun(err)
	}
	a.Traces.End(err, n)
	return n
}

// Tree makes the tree of commands. It opens nothing: commands open what they need when they run.
func (p *Program) Tree(a *cli.App) *cobra.Command {
	root := &cobra.Command{
		Use:               "hostler",
		Short:             "Hostler keeps computers ready: ask for one, use it, give it back",
		Long:              manualText(p.Manual),
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
				return cli.PrintVersion(a)
			}
			return shortHelp(a, cmd)
		},
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.CheckEmpty(cmd, args); err != nil {
				return err
			}
			return a.Begin(cmd)
		},
	}
	root.SetFlagErrorFunc(cli.FlagError)
	addOptions(root, a)
	for _, g := range p.Groups {
		if g.Title != "" {
			root.AddGroup(&cobra.Group{ID: g.ID, Title: g.Title})
		}
		for _, make := range g.Commands {
			cmd := make(a)
			cmd.GroupID = g.ID
			root.AddCommand(cmd)
		}
	}
	root.SetHelpCommand(cli.NewHelp())
	if p.Whole == nil { // otherwise the groups are in the program that has all commands
		root.SetHelpCommandGroupID("set")
	}
	return root
}

// addOptions adds the options that all commands take.
func addOptions(root *cobra.Command, a *cli.App) {
	f := root.PersistentFlags()
	f.StringVarP(&a.Flags.Dir, "directory", "C", "", "work in `DIR` instead of the current directory")
	f.StringVar(&a.Host.ConfigDir, "config", "", "read `DIR` before the other roots of configuration")
	f.BoolVar(&a.JSON, "json", false, "print JSON; see docs/json.md")
	f.BoolVarP(&a.Quiet, "quiet", "q", false, "print only results and errors")
	f.BoolVar(&a.Debug, "debug", false, "say on standard error what is done")
	f.StringVar(&a.Flags.Controller, "controller", "", "ask the controller at `URL`, or at the socket unix:PATH")
	f.BoolVar(&a.Flags.Embedded, "embedded", false, "ask no controller, though there is one")
	f.StringVar(&a.Flags.Project, "project", "", "work in the project `NAME` of the controller; $HOSTLER_PROJECT unless it is said")
	f.StringVar(
		&a.Flags.Reason, "reason", "",
		"say why, in `WORDS` that the controller's audit log keeps; $HOSTLER_REASON unless it is said",
	)
	_ = root.RegisterFlagCompletionFunc("project", cli.CompleteProjects(a))
	f.StringVar(&a.Flags.Ca, "ca", "", "trust the authority in `FILE` for the certificate of --controller; $HOSTLER_CA unless it is said")
	_ = root.MarkPersistentFlagFilename("ca")
	root.Flags().StringVarP(&a.Flags.Source, "source", "s", "", "use the source `NAME`; goes before the verb or after it")
	_ = root.RegisterFlagCompletionFunc("source", a.CompleteSources)
	_ = root.MarkPersistentFlagDirname("directory")
	_ = root.MarkPersistentFlagDirname("config")
	root.Flags().BoolP("version", "v", false, "print the version")
}

// shortHelp is what hostler alone says.
func shortHelp(a *cli.App, cmd *cobra.Command) error {
	return term.Printf(a.Out, `%s
Hostler keeps computers ready: ask for one, use it as if it were local, give it back.

  %-33s obtain a computer, run a command on it, give it back
  hostler status                    what there is
  hostler help                      all commands
  hostler doctor                    what works on this machine
`, version.Line(), "hostler run "+cli.DefaultSource(a.Host.Kinds)+" -- make test")
}

// manualText is the comment of a package, its doc.go, as the text of `hostler help`.
func manualText(manual string) string {
	_, text, _ := strings.Cut(manual, "/*\n")
	text, _, _ = strings.Cut(text, "\n*/")
	return strings.ReplaceAll(text, "\n\t", "\n  ")
}
