package deploycmd

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
)

// deploying is one run of deploy.
type deploying struct {
	app      *cli.App
	opt      *deployOptions
	settings deploy.Settings
	engine   cli.Engine
	owner    string
	names    []string
	madeUp   bool
	source   string
	vars     []bundle.Var        // for all nodes
	all      []*variant          // the kinds of nodes to make
	by       map[string]*variant // the variant of each name
	warned   map[string]bool     // warnings about bundles that were printed
	looked   map[string]string   // the values of references
	show     *shown
	via      string
	booting  sync.Map // names of nodes that user data sets up
}

// prepare checks everything before anything is made.
func (d *deploying) prepare(ctx context.Context) (err error) {
	a, o := d.app, d.opt
	if d.settings, err = deploySettings(a); err != nil {
		return err
	}
	if o.count < 1 {
		return fault.Invalid("", "--count %d: there must be one node at least", o.count)
	}
	policy := cmp.Or(o.onFailure, d.settings.OnFailure, string(deploy.Keep))
	if !slices.Contains(deploy.Policies, policy) {
		return fault.Invalid("", "--on-failure %s: none of %s", policy, strings.Join(deploy.Policies, ", "))
	}
	o.onFailure = policy
	if as := d.as(); !slices.Contains([]string{"", "root", "self"}, as) {
		return fault.Invalid("", "--as %s: neither root nor self", as)
	}
	if d.via = cmp.Or(o.via, d.settings.Via, deploy.ViaSSH); !slices.Contains(deploy.Vias, d.via) {
		return fault.Invalid("", "--via %s: none of %s", d.via, strings.Join(deploy.Vias, ", "))
	}
	if d.via != deploy.ViaSSH && d.as() == "self" {
		return fault.Invalid("--via ssh, or --as root", "--as self and --via %s: what is done at the first boot is done as root", d.via)
	}
	if err := errors.Join(term.CheckPlace("--description-file", o.description), term.CheckPlace("--junit", o.report)); err != nil {
		return err
	}
	if err := d.credentials(ctx); err != nil {
		return err
	}
	if d.source, err = d.chooseSource(); err != nil {
		return err
	}
	if err := d.matrix(); err != nil {
		return err
	}
	if err := d.name(); err != nil {
		return err
	}
	if err := d.variables(ctx); err != nil {
		return err
	}
	if err := d.choose(); err != nil {
		return err
	}
	if d.engine, err = a.Engine(ctx); err != nil {
		return err
	}
	if !a.IsSource(d.source) {
		return a.Unread(d.source, noSource(a, ctx, d.source))
	}
	d.owner = a.Owner()
	for _, name := range d.names {
		if err := leasecmd.CheckName(a, ctx, d.engine, name); err != nil {
			return err
		}
		if i, l, err := d.engine.Resolve(ctx, name); err == nil && l != nil && l.Name == name {
			return fault.Conflict("hostler destroy "+name+", or take another name", "%s: there is a node of this name: %s", name, i.ID)
		}
	}
	for _, v := range d.all {
		if err := d.planBundles(ctx, v); err != nil {
			return err
		}
		if d.via == deploy.ViaUserData && v.plan != nil {
			// check the user data before anything is made
			if _, err := d.userData(v, d.names[0]); err != nil {
				return err
			}
		}
	}
	d.show, err = d.open()
	return err
}

// as returns the user who puts bundles on nodes: "root", "self", or "" for root.
func (d *deploying) as() string { return cmp.Or(d.opt.as, d.settings.As) }
