package deploycmd

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/imagecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/host"
)

// Environment variables through which a source finds the credentials that were given to deploy.
const (
	envUserID    = "HOSTLER_DEPLOY_USERID"
	envSecretKey = "HOSTLER_DEPLOY_SECRET_KEY"
)

// deployTable reads a further section of deploy's configuration, by keys as written.
func deployTable(a *cli.App, name string) (map[string]string, error) {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, v := range cfg.Sections["deploy."+name] {
		out[v.Key] = v.Text
	}
	return out, nil
}

// variables reads those of the configuration, then those of the command line. References among the
// latter are looked up now, others when a bundle uses them.
func (d *deploying) variables(ctx context.Context) error {
	standing, err := deployTable(d.app, "vars")
	if err != nil {
		return err
	}
	given, err := imagecmd.Subvars(d.app, d.opt.vars)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(standing)) {
		d.vars = append(d.vars, bundle.Var{Name: key, Value: standing[key], Standing: true})
	}
	d.vars = append(d.vars, oldVars(d.app)...)
	for _, v := range given {
		// deploy-node took values literally, and needed no bundle to use them
		v.Literal, v.Standing = d.opt.old, d.opt.old
		if d.vars = append(d.vars, v); !v.Literal {
			if _, _, err := d.secret(ctx, v.Value); err != nil {
				return host.ConfigError(fmt.Errorf("-t %s: %w", term.Line(v.Name), err))
			}
		}
	}
	for _, v := range d.all { // like those of -t
		for _, x := range v.vars {
			if _, _, err := d.secret(ctx, x.Value); err != nil {
				return host.ConfigError(fmt.Errorf("--matrix %s: %w", term.Line(x.Name), err))
			}
		}
	}
	return nil
}

// secret looks up a reference once, and notes that its value must not be shown.
func (d *deploying) secret(ctx context.Context, ref string) (value string, ok bool, err error) {
	if value, ok := d.looked[ref]; ok {
		return value, true, nil
	}
	value, ok, err = host.BundleSecret(ctx, ref)
	if ok && err == nil {
		d.hide(ref, value)
	}
	return value, ok, err
}

func (d *deploying) hide(ref, value string) {
	if d.looked == nil {
		d.looked = map[string]string{}
	}
	d.looked[ref] = value
}
