//go:build !linux

package main

import "context"

func (n *nodeCommand) daemon(context.Context, bool) error { return n.isNode() }

func (n *nodeCommand) plan(context.Context) error { return n.isNode() }
