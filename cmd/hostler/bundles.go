package main

import (
	"context"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
)

// bundleSet is all bundles that are configured. What is wrong with one shows when it is used.
func (a *app) bundleSet(cfg *config.Config) bundle.Set {
	set := bundle.Set{}
	for _, b := range cfg.Bundles {
		set[b.Name] = a.bundleOf(cfg, b)
	}
	return set
}

// bundleOf is a configured bundle as package bundle wants it.
func (a *app) bundleOf(cfg *config.Config, b *config.Bundle) *bundle.Definition {
	broken := func(err error) *bundle.Definition {
		return &bundle.Definition{Name: b.Name, File: b.File, Err: configError(err)}
	}
	if b.Err != nil {
		return broken(b.Err)
	}
	files, end, err := b.Files()
	if err != nil {
		return broken(&config.Error{File: b.Dir, Err: err})
	}
	a.closers = append(a.closers, func() { _ = end() })
	var entries []bundle.Entry
	for _, e := range b.Entries {
		entries = append(entries, bundle.Entry{Section: e.Section, Key: e.Key, Text: e.Text, File: e.File, Line: e.Line})
	}
	d := bundle.Parse(b.Name, b.File, entries, files)
	d.Digest = cfg.BundleDigest(b.Name)
	return d
}

// bundleSecret looks up what values of variables refer to.
func bundleSecret(ctx context.Context, value string) (string, bool, error) {
	if !config.IsReference(value) {
		return "", false, nil
	}
	s, err := config.Secret(ctx, value)
	return s, true, err
}

// factsOf is what the engine knows of an instance, for the conditions and templates of bundles.
func factsOf(i *compute.Instance) bundle.Facts {
	f := bundle.Facts{"id": string(i.ID), "name": string(i.ID), "source": i.Source, "provider_id": i.ProviderID, "address": i.Address}
	for k, v := range i.Facts {
		f["fact."+k] = v
	}
	for _, k := range []string{"region", "image", "flavor"} {
		f[k] = i.Facts[k]
	}
	return f
}
