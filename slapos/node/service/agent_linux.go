package service

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	slaposnode "github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/node/promise"
	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// Instances makes a pass over the partitions.
func (n *Node) Instances(ctx context.Context, o InstanceOptions) (InstanceOutcome, error) {
	sv, err := n.Supervisor(ctx)
	if err != nil {
		return InstanceOutcome{}, err
	}
	defer sv.Close()
	a := n.agent(sv)
	a.Debug = o.Debug
	if err := n.addHooks(ctx, a, sv); err != nil {
		return InstanceOutcome{}, err
	}
	out, err := a.Instances(ctx, slaposnode.Options{Only: o.Only, Force: o.Force, Stop: o.Stop || n.Settings.ForceStop})
	if err == nil && !out.Offline {
		n.tell(ctx, sv, nil)
	}
	return InstanceOutcome{out.Report(), out.Status()}, err
}

// agent returns the agent that makes passes, by the node's settings.
func (n *Node) agent(sv slaposnode.Supervisor) *slaposnode.Agent {
	set := n.Settings
	keep := supervise.Again
	if !set.RestartServices {
		keep = supervise.Watched
	}
	a := &slaposnode.Agent{Master: n.master, Supervisor: sv, Say: n.Log.Say, Warn: n.Log.Warn, Config: slaposnode.Config{
		Computer: set.Computer, MasterURL: set.Master, InstanceRoot: set.InstanceRoot,
		SoftwareRoot: set.SoftwareRoot, KeyFile: set.KeyFile, CertFile: set.CertFile,
		Certificates: set.Certificates, SharedParts: set.SharedParts, BuildTimeParts: set.BuildTimeParts,
		StorageHome: set.InstanceHome, GlobalIPv4: set.GlobalIPv4, Free: set.InstanceFree,
		Limit: set.PartitionTimeout, Periodicity: set.Periodicity, Keep: keep, Limits: limitsOf(n.File, n.Log), Environ: os.Environ(),
	}}
	a.Promises = func(ctx context.Context, p *slaposnode.PartitionDir, mode promise.Mode) (bool, error) {
		return n.promises(ctx, p, mode)
	}
	if set.Certificates != "" {
		a.Ask = func(id string) (slaposnode.Asker, func(), error) { return n.clientOf(id) }
	}
	return a
}

// promises runs a partition's promises. It returns the errors of those that failed, and whether the
// result is new.
func (n *Node) promises(ctx context.Context, p *slaposnode.PartitionDir, mode promise.Mode) (bool, error) {
	key, cert := n.Settings.KeyFile, n.Settings.CertFile
	if dir := n.Settings.Certificates; dir != "" {
		key, cert = filepath.Join(dir, p.ID+".key"), filepath.Join(dir, p.ID+".crt")
	}
	r := promise.Runner{
		Dir: p.Home, Software: p.Release, Env: runas.Environ(os.Environ(), p.Home), Timeout: n.Settings.PromiseTimeout,
		Log: n.say,
		Config: promise.Config{
			Master: n.Settings.Master, Computer: n.Settings.Computer, Partition: p.ID, Cert: cert, Key: key,
			Version: n.Version,
		},
	}
	results, err := r.Run(ctx, mode, mode == promise.Test)
	return promise.AnyNew(results), errors.Join(err, promise.Failed(results))
}

// clientOf returns a client that acts as a partition's instance if these have certificates, else as
// the computer.
func (n *Node) clientOf(partition string) (*client.Client, func(), error) {
	certFile, keyFile := n.Settings.CertFile, n.Settings.KeyFile
	if dir := n.Settings.Certificates; dir != "" {
		certFile, keyFile = filepath.Join(dir, partition+".crt"), filepath.Join(dir, partition+".key")
	}
	c, err := n.newClient(certFile, keyFile)
	if err != nil {
		return nil, nil, err
	}
	return c, c.Close, nil
}
