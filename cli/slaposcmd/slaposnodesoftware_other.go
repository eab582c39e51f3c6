//go:build !linux

package slaposcmd

import (
	"context"

	"github.com/hostler-project/hostler/policy/fetch"
)

func (n *NodeCommand) softwarePass(context.Context, softwarePass) error { return n.isNode() }

func (n *NodeCommand) prune(context.Context, pruning) error { return n.isNode() }

func layImage(context.Context, string, string, *fetch.Guard) error {
	return (*NodeCommand)(nil).isNode()
}
