package servercmd

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/controller"
	"github.com/hostler-project/hostler/controller/applied"
)

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

// applySet applies a set: through the controller, or here.
func applySet(a *cli.App, ctx context.Context, set api.ApplySet) (api.ApplyAnswer, error) {
	if _, err := a.Engine(ctx); err != nil {
		return api.ApplyAnswer{}, err
	}
	if a.Remote != nil {
		return a.Remote.Applied().Apply(ctx, set)
	}
	return controller.OfflineApplied(a.Host).Apply(ctx, applied.Caller{Name: a.Owner(), May: true}, set)
}
