package service

import (
	"context"

	"github.com/hostler-project/hostler/slapos/node/promise"
	"github.com/hostler-project/hostler/slapos/node/software"
	"github.com/hostler-project/hostler/slapos/node/statusreport"
)

// Promises runs all promises, or those of some partitions, and returns the failures.
func (n *Node) Promises(ctx context.Context, only []string) (failures []PromiseFailure, err error) {
	node := &promise.Node{
		Computer: n.Settings.Computer, MasterURL: n.Settings.Master, InstanceRoot: n.Settings.InstanceRoot,
		Certificates: n.Settings.Certificates, Release: (&software.Builder{Root: n.Settings.SoftwareRoot}).Dir,
		Version: n.Version, Timeout: n.Settings.PromiseTimeout, Debug: n.Debug, Log: n.say,
	}
	found, err := node.Check(ctx, n.master, only)
	for _, one := range found {
		failures = append(failures, PromiseFailure{one.Partition.ID, one.Partition.Type, one.Err})
	}
	return failures, err
}

// Partitions returns the partitions in which something was processed.
func (n *Node) Partitions() ([]string, error) {
	return statusreport.Partitions(n.Settings.InstanceRoot)
}
