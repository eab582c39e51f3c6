//go:build !linux

package main

import (
	"context"
	"time"
)

func (n *nodeCommand) report(context.Context) error { return n.isNode() }

func (n *nodeCommand) collect(context.Context, bool, time.Duration) error { return n.isNode() }
