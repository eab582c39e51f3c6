package deploycmd

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
)

// variant is what several nodes have in common, and other nodes of the same deploy may not.
type variant struct {
	of       []string // the values of --matrix, in its order
	image    string   // as asked for, aliases resolved; "": the source's own
	alias    string   // as written
	flavor   string
	location string
	vars     []bundle.Var
	plan     *bundle.Plan // nil: nothing to put on nodes
}

// mostNodes is how many nodes one command may make; more are taken for a mistake.
const mostNodes = 10_000

// matrix makes the variants: one or, with --matrix, one for each combination. The last --matrix
// changes fastest.
func (d *deploying) matrix() error {
	d.all = []*variant{{image: d.opt.Image, flavor: d.opt.Flavor, location: d.opt.Location}}
	if d.opt.old && d.opt.Location == "0" {
		d.all[0].location = "" // the first one is there without a word
	}
	all, err := axes(d.opt.matrix)
	if err != nil {
		return err
	}
	for _, x := range all {
		given := map[string]string{"image": d.opt.Image, "flavor": d.opt.Flavor, "location": d.opt.Location}[x.key] != ""
		if given || slices.ContainsFunc(d.opt.vars, func(w string) bool { return strings.HasPrefix(w, x.key+"=") }) {
			return fault.Invalid("leave one of them out", "--matrix %s: another option says %s too", term.Line(x.key), term.Line(x.key))
		}
		if len(d.all)*len(x.values)*d.opt.count > mostNodes {
			return fault.Invalid("", "--matrix makes more than %d nodes", mostNodes)
		}
		var more []*variant
		for _, v := range d.all {
			for _, value := range x.values {
				more = append(more, v.with(x.key, value))
			}
		}
		d.all = more
	}
	return nil
}

// with returns the variant with one setting changed.
func (v *variant) with(key, value string) *variant {
	out := *v
	out.of = append(slices.Clone(v.of), value)
	out.vars = slices.Clone(v.vars)
	switch key {
	case "image":
		out.image = value
	case "flavor":
		out.flavor = value
	case "location":
		out.location = value
	default:
		out.vars = append(out.vars, bundle.Var{Name: key, Value: value})
	}
	return &out
}

// choose completes the variants from the configuration.
func (d *deploying) choose() error {
	aliases, err := deployTable(d.app, "images")
	if err != nil {
		return err
	}
	for _, v := range d.all {
		v.alias = cmp.Or(v.image, d.settings.Image)
		v.image = v.alias
		if name, ok := aliases[v.alias]; ok {
			v.image = name
		}
		v.flavor, v.location = cmp.Or(v.flavor, d.settings.Flavor), cmp.Or(v.location, d.settings.Location)
		v.vars = slices.Concat(d.vars, v.vars)
	}
	return nil
}

// planned reports whether any node gets something.
func (d *deploying) planned() bool {
	return slices.ContainsFunc(d.all, func(v *variant) bool { return v.plan != nil })
}
