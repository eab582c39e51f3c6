package imagecmd

import (
	"context"
	"maps"
	"slices"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/bundle/gotemplate"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/host"
)

// Subvars parses -t K=V. Of two with one name, the later counts, with a warning.
func Subvars(a *cli.App, words []string) (out []bundle.Var, err error) {
	given, repeated, err := deploy.ParseVars(words)
	if err != nil {
		return nil, err
	}
	for _, name := range repeated {
		_ = term.Printf(a.Err, "%s: -t %s is given more than once; the last one counts\n", a.Program, term.Line(name))
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		out = append(out, bundle.Var{Name: name, Value: given[name]})
	}
	return out, nil
}

// planBundles joins bundles, and warns of what is odd.
func planBundles(a *cli.App, ctx context.Context, names, vars []string) (*bundle.Plan, error) {
	set, err := a.Host.Bundles()
	if err != nil {
		return nil, err
	}
	v, err := Subvars(a, vars)
	if err != nil {
		return nil, err
	}
	p, err := set.Plan(ctx, names, bundle.PlanOptions{Vars: v, Secret: host.BundleSecret, GoTemplate: gotemplate.Expand})
	if err != nil {
		return nil, err
	}
	for _, w := range p.Warnings {
		if !a.Quiet {
			_ = term.Printf(a.Err, "%s: warning: %s\n", a.Program, term.Line(w))
		}
	}
	return p, nil
}
