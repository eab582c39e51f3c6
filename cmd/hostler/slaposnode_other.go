//go:build !linux

package main

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/compute"
)

// isNode: a node is a machine with Linux.
func (n *nodeCommand) isNode() error {
	return &compute.Error{
		Kind: compute.ErrFailed, Err: errors.New("a node of SlapOS is a machine with Linux"),
		Hint: "the commands that ask a master work here: hostler slapos --help",
	}
}

func (n *nodeCommand) alone(string) (func(), error) { return nil, n.isNode() }

func (n *nodeCommand) startSupervisor(context.Context) error { return n.isNode() }

func (n *nodeCommand) supervise(context.Context) error { return n.isNode() }

func (n *nodeCommand) instances(context.Context, instancePass) error { return n.isNode() }

func (n *nodeCommand) promise(context.Context, []string) error { return n.isNode() }

func (n *nodeCommand) promiseHistory([]string) error { return n.isNode() }
