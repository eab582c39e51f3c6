package servercmd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/controller/applied"
	"github.com/hostler-project/hostler/text/visible"
)

func NewDiff(a *cli.App) *cobra.Command {
	var o applyFlags
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "diff -f DIR [-l KEY=VALUE] [--prune]",
		Short: "Show what apply would change",
		Long: `Show what hostler apply with the same options would change: a unified diff of each thing's labels and files, from what is applied to what DIR has. Nothing is changed. What
apply would refuse is an error here too.`,
		Example: "  hostler diff -f conf -l app=ci --prune\n  hostler diff -f conf --exit-code >/dev/null || hostler apply -f conf",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return diff(a, cmd.Context(), o, exitCode) },
	}
	o.flags(cmd, "with what has these labels, was applied, and is not in DIR")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with status 1 if something would change, as git diff does")
	return cmd
}

// diff prints what apply would change. With exitCode any change is exit status 1.
func diff(a *cli.App, ctx context.Context, o applyFlags, exitCode bool) error {
	set, err := wanted(a, o)
	if err != nil {
		return err
	}
	set.DryRun, set.Diff = true, true
	out, err := applySet(a, ctx, set)
	if err != nil {
		return err
	}
	warnOfApply(a, out)
	if a.JSON {
		err = a.PrintJSON(out)
	} else {
		for _, c := range out.Changes {
			if c.Action == applied.Unchanged {
				continue
			}
			head := fmt.Sprintf("%s %s: %s", c.Kind, c.Name, c.Action)
			if c.Note != "" {
				head += ": " + c.Note
			}
			err = errors.Join(err, term.Printf(a.Out, "%s\n%s", term.Line(head), visible.Block(c.Diff)))
		}
	}
	if err == nil && exitCode && slices.ContainsFunc(out.Changes, func(c api.ThingChange) bool { return c.Action != applied.Unchanged }) {
		return term.Exit(1)
	}
	return err
}
