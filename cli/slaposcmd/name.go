package slaposcmd

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/version"
)

// RunSlapos runs a command line of the program slapos.
func RunSlapos(ctx context.Context, a *cli.App, args []string) int {
	a.Program, a.Compat, a.Host.Compat = cli.SlaposName, true, true
	root := newRoot(a)
	root.SetArgs(spreadWords(args))
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	cmd, err := root.ExecuteContextC(ctx)
	err = a.Interrupted(err, "")
	if err != nil && !term.Ours(err) {
		err = a.UsageError(cmd, err)
	}
	if errors.Is(err, compute.ErrInvalid) { // the option may follow the bad word
		a.JSON = a.JSON || slices.Contains(args, "--json")
	}
	a.Tell(err)
	return term.ExitStatus(err)
}

// newRoot returns the commands below hostler slapos as a tree of their own.
func newRoot(a *cli.App) *cobra.Command {
	root := NewSlapos(a)
	root.Use = cli.SlaposName
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(cli.FlagError)
	p := root.PersistentFlags()
	p.BoolVar(&a.JSON, "json", false, "print JSON; see hostler's docs/json.md")
	p.BoolVarP(&a.Quiet, "quiet", "q", false, "print only results and errors")
	p.BoolVar(&a.Debug, "debug", false, "say on standard error what is done")
	root.Flags().Bool("version", false, "print the version")
	run := root.RunE
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if asked, _ := cmd.Flags().GetBool("version"); asked {
			return term.Printf(a.Out, "%s of hostler %s\n", cli.SlaposName, version.Read().Version)
		}
		return run(cmd, args)
	}
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if err := cli.CheckEmpty(cmd, args); err != nil {
			return err
		}
		return a.Begin(cmd)
	}
	root.SetHelpCommand(cli.NewHelp())
	everySlapos(root, func(c *cobra.Command) {
		c.Example = strings.ReplaceAll(c.Example, "hostler "+cli.SlaposName, cli.SlaposName)
	})
	return root
}

// everySlapos calls f for each command of a tree.
func everySlapos(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, c := range cmd.Commands() {
		everySlapos(c, f)
	}
}
