package main

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy"
)

// nodeBundles are the bundles that are put on nodes.
type nodeBundles struct{}

// planBundles finds the bundles, and all that can be wrong with them. nil: there are none.
func (d *deployment) planBundles(context.Context) (*nodeBundles, error) {
	if names := append(d.settings.Bundles, d.opt.bundles...); len(names) > 0 {
		return nil, &compute.Error{ID: compute.ID(names[0]), Kind: compute.ErrNotFound, Err: errors.New("no bundle of this name")}
	}
	return nil, nil
}

// apply puts the bundles on a node.
func (d *deployment) apply(context.Context, compute.Conn, *deploy.Node) error { return nil }
