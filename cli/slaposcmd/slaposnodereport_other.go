//go:build !linux

package slaposcmd

import (
	"context"
	"time"
)

func (n *NodeCommand) report(context.Context) error { return n.isNode() }

func (n *NodeCommand) collect(context.Context, bool, time.Duration) error { return n.isNode() }
