package servercmd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/controller"
	"github.com/hostler-project/hostler/controller/applied"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/text/visible"
)

// applyFlags are what apply and diff have in common.
type applyFlags struct {
	dir    string
	labels []string
	prune  bool
	take   bool
}

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

// wanted reads the directory.
func wanted(a *cli.App, o applyFlags) (set api.ApplySet, err error) {
	if o.dir == "" {
		return set, fault.Invalid("name the directory: -f DIR", "nothing says what is to be applied")
	}
	set = api.ApplySet{Things: []api.WantedThing{}, Prune: o.prune, Take: o.take}
	for _, l := range o.labels {
		key, value, ok := strings.Cut(l, "=")
		if !ok || key == "" {
			return set, fault.Invalid("", "label %q is not KEY=VALUE", l)
		}
		if set.Labels == nil {
			set.Labels = map[string]string{}
		}
		if _, twice := set.Labels[key]; twice {
			return set, fault.Invalid("", "label %s is given twice", key)
		}
		set.Labels[key] = value
	}
	things, beside, err := applied.ReadDir(o.dir)
	if set.Things = things; err != nil {
		return set, err
	}
	warn := func(format string, args ...any) {
		if err == nil && !a.Quiet {
			err = term.Printf(a.Err, "%s: warning: %s\n", a.Program, term.Line(fmt.Sprintf(format, args...)))
		}
	}
	if len(beside.Left) > 0 {
		warn("%s: not applied: only sources, bundles and projects are", strings.Join(beside.Left, " and "))
	}
	for _, s := range beside.Strange {
		switch {
		case s.Thing == "":
			warn("%s/: not applied: did you mean %s/?", s.Name, s.Meant)
		case o.prune || len(things) == 0:
			return set, fault.Invalid(
				"call it "+s.Meant+", or put it into another directory",
				"%s: %s would not be applied: did you mean %s/?", filepath.Join(o.dir, s.Name), s.Thing, s.Meant,
			)
		default:
			warn("%s/: not applied, and %s is in it: did you mean %s/?", s.Name, s.Thing, s.Meant)
		}
	}
	return set, err
}

// warnOfApply warns of what is odd in an answer.
func warnOfApply(a *cli.App, out api.ApplyAnswer) {
	if a.Quiet {
		return
	}
	for _, w := range out.Warnings {
		_ = term.Printf(a.Err, "%s: warning: %s\n", a.Program, term.Line(w))
	}
}

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
	return nil
}

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

// applySet applies a set: through the controller, or here.
func applySet(a *cli.App, ctx context.Context, set api.ApplySet) (api.ApplyAnswer, error) {
	if _, err := a.Engine(ctx); err != nil {
		return api.ApplyAnswer{}, err
	}
	if a.Remote != nil {
		return a.Remote.Applied().Apply(ctx, set)
	}
	return ownBook(a).Apply(ctx, applied.Caller{Name: a.Owner(), May: true}, set)
}

// ownBook returns the book that applies things without a controller.
func ownBook(a *cli.App) *applied.Book {
	return controller.NewBook(a.Host, a.Host.Opened().Leases, func(ctx context.Context) error {
		m, err := host.AppliedMirror(a.Host.Config())
		if err == nil {
			err = m.Sync(ctx, a.Host.Store())
		}
		return err
	})
}
