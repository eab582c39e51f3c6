//go:build !linux

package service

import (
	"context"
	"errors"
	"io"

	"github.com/hostler-project/hostler/compute"
)

// CheckPlatform returns an error if this machine cannot be a node.
func CheckPlatform() error {
	return &compute.Error{
		Kind: compute.ErrFailed, Err: errors.New("a node of SlapOS is a machine with Linux"),
		Hint: "the commands that ask a master work here: hostler slapos --help",
	}
}

func holdPIDFile(string) (func(), error) { return nil, CheckPlatform() }

func platform() string { return "" }

// StartSupervisor, like the rest, needs Linux.
func (n *Node) StartSupervisor(context.Context) error { return CheckPlatform() }

func (n *Node) RunSupervisor(context.Context, io.Writer) error { return CheckPlatform() }

func (n *Node) Instances(context.Context, InstanceOptions) (InstanceOutcome, error) {
	return InstanceOutcome{}, CheckPlatform()
}

func (n *Node) Software(context.Context, SoftwareOptions) ([]Release, []FailedRelease, error) {
	return nil, nil, CheckPlatform()
}

func (n *Node) Prune(context.Context, []string, bool) ([]string, error) { return nil, CheckPlatform() }

func LayImage(context.Context, string, string, FetchRules, func(string)) error {
	return CheckPlatform()
}

func (n *Node) Promises(context.Context, []string) ([]PromiseFailure, error) {
	return nil, CheckPlatform()
}

func (n *Node) Partitions() ([]string, error) { return nil, CheckPlatform() }

func (n *Node) Report(context.Context) (int, error) { return 0, CheckPlatform() }

func (n *Node) Collect(context.Context) error { return CheckPlatform() }

func (n *Node) Run(context.Context, bool) error { return CheckPlatform() }

func (n *Node) Plan(context.Context) ([]Step, error) { return nil, CheckPlatform() }
