//go:build !linux

package slaposcmd

import (
	"context"
)

func (n *NodeCommand) daemon(context.Context, bool) error { return n.isNode() }

func (n *NodeCommand) plan(context.Context) error { return n.isNode() }
