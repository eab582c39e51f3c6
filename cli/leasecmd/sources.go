package leasecmd

import (
	"context"
	"slices"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute/inventory"
)

// selected returns the status of the named sources, sorted by name; of all without names.
func selected(ctx context.Context, engine cli.Engine, names []string) ([]inventory.SourceStatus, error) {
	all, err := engine.Status(ctx)
	if err != nil {
		return nil, err
	}
	return Choose(all, names)
}

// Choose returns the named sources; without names all.
func Choose(all []inventory.SourceStatus, names []string) ([]inventory.SourceStatus, error) {
	if len(names) == 0 {
		return all, nil
	}
	known := make([]string, len(all))
	for i, s := range all {
		known[i] = s.Name
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, cli.UnknownSource(n, known)
		}
	}
	return slices.DeleteFunc(all, func(s inventory.SourceStatus) bool { return !slices.Contains(names, s.Name) }), nil
}
