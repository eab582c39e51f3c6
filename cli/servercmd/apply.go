package servercmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/controller/applied"
)

// applyFlags are what apply and diff have in common.
type applyFlags struct {
	dir    string
	labels []string
	prune  bool
	take   bool
}

// flags declares the options of apply and diff. prune is the help of --prune.
func (o *applyFlags) flags(cmd *cobra.Command, prune string) {
	f := cmd.Flags()
	f.StringVarP(&o.dir, "file", "f", "", "the `DIR` with sources/, bundles/ and projects/")
	f.StringArrayVarP(&o.labels, "label", "l", nil, "the label `KEY=VALUE` of all of it; may be repeated")
	f.BoolVar(&o.prune, "prune", false, prune)
	f.BoolVar(&o.take, "take", false, "also what another set has: what was applied with another VALUE of a label")
	_ = cmd.MarkFlagDirname("file")
}

func NewApply(a *cli.App) *cobra.Command {
	var o applyFlags
	var dry bool
	cmd := &cobra.Command{
		Use:   "apply -f DIR [-l KEY=VALUE] [--prune]",
		Short: "Have the sources, bundles and projects of a directory, as wanted",
		Long: `Bring what is applied to what a directory says: sources/NAME, bundles/NAME and projects/NAME, as a directory of configuration has them. It is kept in the store and in
force at once, for all controllers of one database: all of it, or nothing and an error. The same again changes nothing. What stands in a file of the configuration is refused.

What was applied with another value of the label is another set's, and a conflict. With --prune, what was applied with the same labels and is not in the directory any more is taken away. What administrators apply from elsewhere has nothing run on the
controller's machine: docs/apply.md says what is refused.`,
		Example: "  hostler apply -f conf -l app=ci --prune\n  hostler apply -f conf -l app=ci --dry-run",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return apply(a, cmd.Context(), o, dry) },
	}
	o.flags(cmd, "take away what has these labels, was applied, and is not in DIR")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "check it and say what would change, and change nothing")
	return cmd
}

// apply has the controller take over a set of sources, bundles and projects.
func apply(a *cli.App, ctx context.Context, o applyFlags, dry bool) error {
	set, err := wanted(a, o)
	if err != nil {
		return err
	}
	set.DryRun = dry
	out, err := applySet(a, ctx, set)
	if err != nil {
		return err
	}
	warnOfApply(a, out)
	if a.JSON {
		return a.PrintJSON(out)
	}
	for _, c := range out.Changes {
		line := c.Kind + " " + c.Name + " " + c.Action
		if dry && c.Action != applied.Unchanged {
			line = c.Kind + " " + c.Name + " would be " + c.Action
		}
		if c.Note != "" {
			line += ": " + c.Note
		}
		if err := term.Printf(a.Out, "%s\n", term.Line(line)); err != nil {
			return err
		}
	}
	if o.prune && !a.Quiet {
		return sayStays(a, ctx, set)
	}
	return nil
}
