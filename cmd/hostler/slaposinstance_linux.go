package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/cli/term"
	slapnode "github.com/hostler-project/hostler/slapos/node"
	slaponce "github.com/hostler-project/hostler/slapos/node/once"
	"github.com/hostler-project/hostler/slapos/node/promise"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/slap"
)

// instances does a pass over the partitions.
func (n *nodeCommand) instances(ctx context.Context, o instancePass) error {
	sv, err := n.supervisor(ctx)
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
		n.warn("%s", report)
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

// agent is who does passes by the node's settings.
func (n *nodeCommand) agent(sv slapnode.Supervisor) *slapnode.Agent {
	set := n.node
	keep := supervise.Again
	if !set.RestartServices {
		keep = supervise.Watched
	}
	a := &slapnode.Agent{
		Master: n.client, Supervisor: sv, Computer: set.Computer, MasterURL: set.Master, InstanceRoot: set.InstanceRoot,
		SoftwareRoot: set.SoftwareRoot, KeyFile: set.KeyFile, CertFile: set.CertFile,
		Certificates: set.Certificates, SharedParts: set.SharedParts, BuildTimeParts: set.BuildTimeParts,
		StorageHome: set.InstanceHome, GlobalIPv4: set.GlobalIPv4, Free: set.InstanceFree,
		Limit: set.PartitionTimeout, Periodicity: set.Periodicity, Keep: keep, Environ: os.Environ(), Say: n.say, Warn: n.warn,
	}
	a.Limits = n.limits()
	a.Promises = func(ctx context.Context, p *slapnode.Place, mode promise.Mode) (bool, error) {
		return n.promises(ctx, p, mode)
	}
	if set.Certificates != "" {
		a.Ask = n.partitionClient
	}
	return a
}

// promises runs those of a partition, and returns the error of what failed, and whether that is
// news.
func (n *nodeCommand) promises(ctx context.Context, p *slapnode.Place, mode promise.Mode) (bool, error) {
	key, cert := n.node.KeyFile, n.node.CertFile
	if dir := n.node.Certificates; dir != "" {
		key, cert = filepath.Join(dir, p.ID+".key"), filepath.Join(dir, p.ID+".crt")
	}
	r := promise.Runner{
		Dir: p.Home, Software: p.Release, Env: slaponce.Environ(os.Environ(), p.Home), Timeout: n.node.PromiseTimeout,
		Log: func(line string) { n.say("%s", line) },
		Config: promise.Config{
			Master: n.node.Master, Computer: n.node.Computer, Partition: p.ID, Cert: cert, Key: key,
			Version: thisVersion().Version,
		},
	}
	results, err := r.Run(ctx, mode, mode == promise.Test)
	return promise.News(results), errors.Join(err, promise.Failed(results))
}

// partitionClient asks the master with a partition's certificate.
func (n *nodeCommand) partitionClient(id string) (slapnode.Asker, func(), error) {
	c, err := n.asking(id)
	if err != nil {
		return nil, nil, err
	}
	return c, c.Close, nil
}

// asking is a client that is a partition's instance, where these have certificates, and else the
// computer.
func (n *nodeCommand) asking(id string) (*slap.Client, error) {
	dir := n.node.Certificates
	if dir == "" {
		return n.newClient()
	}
	return slap.NewClient(slap.Options{
		URL: n.node.Master, CertFile: filepath.Join(dir, id+".crt"), KeyFile: filepath.Join(dir, id+".key"),
		CAFile: n.node.CAFile, Insecure: n.insecure,
	})
}
