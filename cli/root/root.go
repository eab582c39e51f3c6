package root

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/exitstatus"
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
	out, unknown := &written{Writer: a.Out}, helpOf(root)
	root.SetOut(out)
	root.SetErr(a.Err)
	cmd, err := root.ExecuteContextC(ctx)
	if help := cmp.Or(unknown(), out.err); err == nil && help != nil {
		cmd, err = nil, help // no command has run
	}
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
