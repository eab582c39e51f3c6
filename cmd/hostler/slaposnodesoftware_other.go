//go:build !linux

package main

import (
	"context"

	"github.com/hostler-project/hostler/policy/fetch"
)

func (n *nodeCommand) softwarePass(context.Context, softwarePass) error { return n.isNode() }

func (n *nodeCommand) prune(context.Context, pruning) error { return n.isNode() }

func layImage(context.Context, string, string, *fetch.Guard) error {
	return (*nodeCommand)(nil).isNode()
}
