package main

import (
	"context"
	"strings"

	"github.com/hostler-project/hostler/node/promise"
	"github.com/hostler-project/hostler/node/software"
)

// promiseNode is what this node knows for the promises of its partitions.
func (n *nodeCommand) promiseNode() *promise.Node {
	return &promise.Node{Computer: n.node.Computer, MasterURL: n.node.Master, InstanceRoot: n.node.InstanceRoot, Certificates: n.node.Certificates,
		Release: (&software.Builder{Root: n.node.SoftwareRoot}).Dir, Version: thisVersion().Version, Timeout: n.node.PromiseTimeout, Debug: n.a.flags.debug,
		Log: func(line string) { n.say("%s", line) }}
}

// promise asks all promises.
func (n *nodeCommand) promise(ctx context.Context, only []string) error {
	found, err := n.promiseNode().Check(ctx, n.client, only)
	if err != nil || len(found) == 0 {
		return err
	}
	n.say("%s", strings.Repeat("=", 80))
	n.say("Error with promises for the following partitions:")
	for _, one := range found {
		n.say("  %s[%s]: %s", one.Partition.ID, one.Partition.Type, one.Err)
	}
	return status(2)
}
