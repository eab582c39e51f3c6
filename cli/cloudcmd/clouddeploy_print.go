package cloudcmd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// printDeployed prints what was made, what a server of the source costs, and who reaches its
// ports.
func (w *cloudWork) printDeployed(v cloudView, steps []deployment.Step, o *cloudDeployOptions, costs prices) error {
	if w.app.JSON {
		return w.app.PrintJSON(v)
	}
	if err := printSteps(w.app, steps); err != nil {
		return err
	}
	for _, line := range [][2]string{{"private key", v.KeyFile}, {"source", v.SourceFile}, {"head", v.Head}} {
		if line[1] != "" && !o.dry {
			if err := term.Printf(w.app.Out, "%s: %s\n", line[0], term.Line(line[1])); err != nil {
				return err
			}
		}
	}
	if w.app.Quiet {
		return nil
	}
	if v.Hourly != nil {
		if err := term.Printf(w.app.Err, "a server of it costs %s an hour\n", costs.shown(v.Hourly)); err != nil {
			return err
		}
	}
	if len(o.settings.Ports) > 0 && len(o.settings.From) == 0 {
		return term.Printf(
			w.app.Err, "%s: open to the deployment's own network alone; --from opens to others\n",
			cmp.Or(strings.Join(o.settings.Ports, ", "), "ports"),
		)
	}
	return nil
}

// estimate returns the price of a server for an hour; nil if unknown. ErrNotFound says that no
// flavor is large enough.
func (w *cloudWork) estimate(ctx context.Context, s *cloudSource, costs prices) (*float64, error) {
	if err := w.cloud.HasImage(ctx, s.os); err != nil {
		return nil, err
	}
	table, err := w.cloud.Flavors(ctx, false)
	if err != nil {
		return nil, err
	}
	need := s.need(s.flavor)
	sets, err := flavor.ParseSets(s.sets)
	if err != nil {
		return nil, err
	}
	if len(sets) == 0 {
		f, err := table.Cheapest(need)
		if err != nil {
			return nil, err
		}
		return costs.of(f.Name), nil
	}
	order := flavor.Cheapest
	if s.listed {
		order = flavor.Listed
	}
	fits, err := table.Choose(need, sets, order)
	if err != nil {
		return nil, err
	}
	// remove sets without a flavor
	fits = slices.DeleteFunc(fits, func(f flavor.Flavor) bool { return f.ID == "" })
	if len(fits) == 0 {
		if _, err := table.Cheapest(need); err != nil { // the error says why
			return nil, err
		}
		return nil, &compute.Error{
			Kind: compute.ErrNoCapacity, Err: fmt.Errorf("no flavor of --flavor-sets %s is large enough", s.sets),
			Hint: "hostler cloud flavors lists them",
		}
	}
	f := fits[0]
	return costs.of(f.Name), nil
}
