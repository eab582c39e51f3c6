package deploycmd

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/bundle/gotemplate"
	"github.com/hostler-project/hostler/cli/term"
)

// planBundles finds a variant's bundles: for every node, for the image, and the requested ones. It
// finds all errors in them before anything is made.
func (d *deploying) planBundles(ctx context.Context, v *variant) error {
	forImage, err := deployTable(d.app, "image-bundles")
	if err != nil {
		return err
	}
	names := slices.Clone(d.settings.Bundles)
	for name := range strings.SplitSeq(cmp.Or(forImage[v.alias], forImage[v.image]), ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	names = append(names, d.opt.bundles...)
	keys, err := d.ownKey()
	if err != nil {
		return err
	}
	more, err := oldKeys(d.app)
	if err != nil {
		return err
	}
	keys = append(keys, more...)
	if len(names)+len(keys) == 0 {
		return nil
	}
	set, err := d.app.Host.Bundles()
	if err != nil {
		return err
	}
	oldBundles(d.app, set)
	v.plan, err = set.Plan(ctx, names, bundle.PlanOptions{Vars: v.vars, Keys: keys, Secret: d.secret, GoTemplate: gotemplate.Expand})
	if err != nil {
		return err
	}
	for _, w := range v.plan.Warnings {
		if d.warned[w] {
			continue
		}
		if d.warned == nil {
			d.warned = map[string]bool{}
		}
		d.warned[w] = true
		_ = term.Printf(d.app.Err, "%s: %s\n", d.app.Program, term.Line(w))
	}
	return nil
}
