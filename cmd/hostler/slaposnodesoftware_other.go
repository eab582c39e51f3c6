//go:build !linux

package main

import "context"

func (n *nodeCommand) softwarePass(context.Context, softwarePass) error { return n.isNode() }

func (n *nodeCommand) prune(context.Context, pruning) error { return n.isNode() }

func layImage(context.Context, string, string) error { return (*nodeCommand)(nil).isNode() }
