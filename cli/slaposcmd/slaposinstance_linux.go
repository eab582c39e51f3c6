package slaposcmd

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/host/version"
	slapnode "github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/promise"
	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// instances makes a pass over the partitions.
func (n *NodeCommand) instances(ctx context.Context, o instancePass) error {
	sv, err := n.Supervisor(ctx)
	if err != nil {
		return err
	}
	defer sv.Close()
	a := n.agent(sv)
	a.Debug = o.debug
	if err := n.beside(ctx, a, sv); err != nil {
		return err
	}
	out, err := a.Instances(ctx, slapnode.Options{Only: o.only, Force: o.force, Stop: o.stop})
	if report := out.Report(); report != "" {
		n.Warn("%s", report)
	}
	if err != nil {
		return err
	}
	if !out.Offline {
		n.tell(ctx, sv, nil)
	}
	if code := out.Status(); code != 0 {
		return term.Exit(code)
	}
	return nil
}

// agent returns the agent that makes passes, by the node's settings.
func (n *NodeCommand) agent(sv slapnode.Supervisor) *slapnode.Agent {
	set := n.Node
	keep := supervise.Again
	if !set.RestartServices {
		keep = supervise.Watched
	}
	a := &slapnode.Agent{Master: n.client, Supervisor: sv, Say: n.Say, Warn: n.Warn, Config: slapnode.Config{
		Computer: set.Computer, MasterURL: set.Master, InstanceRoot: set.InstanceRoot,
		SoftwareRoot: set.SoftwareRoot, KeyFile: set.KeyFile, CertFile: set.CertFile,
		Certificates: set.Certificates, SharedParts: set.SharedParts, BuildTimeParts: set.BuildTimeParts,
		StorageHome: set.InstanceHome, GlobalIPv4: set.GlobalIPv4, Free: set.InstanceFree,
		Limit: set.PartitionTimeout, Periodicity: set.Periodicity, Keep: keep, Limits: n.limits(), Environ: os.Environ(),
	}}
	a.Promises = func(ctx context.Context, p *slapnode.PartitionDir, mode promise.Mode) (bool, error) {
		return n.promises(ctx, p, mode)
	}
	if set.Certificates != "" {
		a.Ask = n.partitionClient
	}
	return a
}

// promises runs a partition's promises. It returns the errors of those that failed, and whether the
// result is new.
func (n *NodeCommand) promises(ctx context.Context, p *slapnode.PartitionDir, mode promise.Mode) (bool, error) {
	key, cert := n.Node.KeyFile, n.Node.CertFile
	if dir := n.Node.Certificates; dir != "" {
		key, cert = filepath.Join(dir, p.ID+".key"), filepath.Join(dir, p.ID+".crt")
	}
	r := promise.Runner{
		Dir: p.Home, Software: p.Release, Env: runas.Environ(os.Environ(), p.Home), Timeout: n.Node.PromiseTimeout,
		Log: func(line string) { n.Say("%s", line) },
		Config: promise.Config{
			Master: n.Node.Master, Computer: n.Node.Computer, Partition: p.ID, Cert: cert, Key: key,
			Version: version.Read().Version,
		},
	}
	results, err := r.Run(ctx, mode, mode == promise.Test)
	return promise.News(results), errors.Join(err, promise.Failed(results))
}

// partitionClient returns a client with a partition's certificate.
func (n *NodeCommand) partitionClient(id string) (slapnode.Asker, func(), error) {
	c, err := n.asking(id)
	if err != nil {
		return nil, nil, err
	}
	return c, c.Close, nil
}

// asking returns a client that acts as a partition's instance if these have certificates, else as
// the computer.
func (n *NodeCommand) asking(id string) (*client.Client, error) {
	dir := n.Node.Certificates
	if dir == "" {
		return n.newClient()
	}
	return client.New(client.Options{
		URL: n.Node.Master, CertFile: filepath.Join(dir, id+".crt"), KeyFile: filepath.Join(dir, id+".key"),
		CAFile: n.Node.CAFile, Insecure: n.insecure,
	})
}
