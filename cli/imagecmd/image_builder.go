package imagecmd

import (
	"context"
	"errors"
	"slices"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/image"
)

// builderNamed returns a builder for the named source, after it has checked everything that can be
// checked first.
func builderNamed(a *cli.App, ctx context.Context, bundles, vars []string, name string) (*host.ImageBuilder, error) {
	if name != "" {
		if err := image.CheckTag(a.Host.Registry, name); err != nil {
			return nil, err
		}
	}
	if _, err := Besides(a, ctx); err != nil {
		return nil, err
	}
	source, err := a.SourceName()
	if err != nil {
		return nil, err
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return nil, err
	}
	s, err := cfg.Source(source)
	if err != nil {
		return nil, &compute.Error{Kind: compute.ErrNotFound, Err: err, Hint: "`hostler source list` shows those that there are"}
	}
	return buildOf(a, ctx, s, bundles, vars)
}

// buildOf returns a builder for a configured source, with additional bundles.
func buildOf(a *cli.App, ctx context.Context, s *config.Source, bundles, vars []string) (*host.ImageBuilder, error) {
	if s.Err != nil {
		return nil, host.ConfigError(s.Err)
	}
	if s.Kind.Pool {
		return nil, &compute.Error{
			ID: compute.ID(s.Name), Kind: compute.ErrInvalid, Err: errors.New("a pool makes no computers of its own"),
			Hint: "build for one of its sources",
		}
	}
	names := slices.Clone(s.Bundles)
	for _, n := range bundles {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return nil, fault.Invalid(
			"--bundle NAME; `hostler bundle list` shows which there are",
			"%s lists no bundles, and none is named: there is nothing to build", s.Name,
		)
	}
	plan, err := planBundles(a, ctx, names, vars)
	if err != nil {
		return nil, err
	}
	output, _ := term.Displayed(a.Err)
	return a.Host.NewBuilder(ctx, s, plan, vars, output)
}
