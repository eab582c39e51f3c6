//go:build !linux

package slaposcmd

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/compute"
)

// isNode: a node is a machine with Linux.
func (n *NodeCommand) isNode() error {
	return &compute.Error{
		Kind: compute.ErrFailed, Err: errors.New("a node of SlapOS is a machine with Linux"),
		Hint: "the commands that ask a master work here: hostler slapos --help",
	}
}

func (n *NodeCommand) alone(string) (func(), error) { return nil, n.isNode() }

func (n *NodeCommand) startSupervisor(context.Context) error { return n.isNode() }

func (n *NodeCommand) supervise(context.Context) error { return n.isNode() }

func (n *NodeCommand) instances(context.Context, instancePass) error { return n.isNode() }

func (n *NodeCommand) promise(context.Context, []string) error { return n.isNode() }

func (n *NodeCommand) promiseHistory([]string) error { return n.isNode() }
