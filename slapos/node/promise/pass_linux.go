package promise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/proto"
)

// A Master tells which partitions a computer has; *client.Client is one.
type Master interface {
	Computer(ctx context.Context, id string) (*proto.Computer, error)
}

// Node is what a node knows for the promises of all its partitions.
type Node struct {
	Computer     string // its ID
	MasterURL    string
	InstanceRoot string                  // has the partitions' directories
	Certificates string                  // has PARTITION.key and PARTITION.crt; "": there are none
	Release      func(url string) string // the directory of a software release
	Version      string
	Timeout      time.Duration // of each promise; 0: 20 seconds
	Debug        bool
	Log          func(line string) // may be nil
}

// Runner makes the runner of a partition. Its ID must be a valid directory name.
func (n *Node) Runner(p *proto.Partition) (*Runner, error) {
	if p.Computer != n.Computer || !home.IsPartition(p.ID) {
		return nil, &compute.Error{
			Op: "promise.Run", ID: compute.ID(p.ID), Kind: compute.ErrInvalid,
			Err: fmt.Errorf("the master speaks of %q of computer %q, which is no partition of %s", p.ID, p.Computer, n.Computer),
		}
	}
	r := &Runner{Dir: filepath.Join(n.InstanceRoot, p.ID), Software: n.Release(p.Release), Timeout: n.Timeout, Log: n.Log,
		Config: Config{Master: n.MasterURL, Computer: p.Computer, Partition: p.ID, Version: n.Version, Debug: n.Debug}}
	r.Env = runas.Environ(os.Environ(), r.Dir)
	if n.Certificates != "" {
		r.Config.Cert, r.Config.Key = filepath.Join(n.Certificates, p.ID+".crt"), filepath.Join(n.Certificates, p.ID+".key")
	}
	return r, nil
}

// Trouble is a partition with a failed promise (Err is a *Failure), or whose promises could not be
// run.
type Trouble struct {
	Partition *proto.Partition
	Err       error
}

// Check runs all promises of the instances to be started, or of some partitions, due or not. It
// returns the failures, in the master's order; err is that the check could not be made.
func (n *Node) Check(ctx context.Context, m Master, only []string) (found []Trouble, err error) {
	c, err := m.Computer(ctx, n.Computer)
	if err != nil {
		return nil, err
	}
	for _, id := range only {
		if !slices.ContainsFunc(c.Partitions, func(p proto.Partition) bool { return p.ID == id }) {
			return nil, &compute.Error{
				Op: "promise.Check", ID: compute.ID(id), Kind: compute.ErrNotFound,
				Err: errors.New("this computer has no such partition"),
			}
		}
	}
	for i := range c.Partitions {
		p := &c.Partitions[i]
		if p.Release == "" || p.State != proto.Started || len(only) > 0 && !slices.Contains(only, p.ID) {
			continue
		}
		if n.Log != nil {
			n.Log("Checking " + p.ID + " promises...")
		}
		r, err := n.Runner(p)
		if err == nil {
			var results []Result
			if results, err = r.Run(ctx, Test, true); err == nil {
				err = Failed(results)
			}
		}
		if ctx.Err() != nil {
			return found, context.Cause(ctx)
		}
		if err != nil {
			found = append(found, Trouble{p, err})
		}
	}
	return found, nil
}
