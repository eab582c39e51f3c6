package configurecmd

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/nodecmd"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/slapos"
	"github.com/hostler-project/hostler/slapos/configure"
	"github.com/hostler-project/hostler/slapos/node/service"
)

// localView is `slapos configure local --json`.
type localView struct {
	Computer string `json:"computer"`
	Config   string `json:"config"`
	Client   string `json:"client"`
	Master   string `json:"master_url"`
}

func newLocal(s *session.Session) *cobra.Command {
	o := &localOptions{}
	cmd := &cobra.Command{
		Use:   "local",
		Short: "Make this machine a whole SlapOS by itself: a node, with a master of its own",
		Long: `Write slapos.cfg for this machine as the computer local_computer, whose master runs here too, kept running by the node's own supervisor; write the client's file (--cfg, or where the other
commands look for it) unless there is one; and start supervisor and master. What is there already and says something else is left alone, and is an error. Then hostler slapos node format --now makes the
partitions, and hostler node has what is wanted.

Partitions have addresses of IPv6, of the interface's network. Where that has none, as lo, a private network is made up, and stands in slapformat-definition.cfg beside slapos.cfg.

The master listens on this machine alone and does not identify its clients.`,
		Example: "  hostler slapos configure local --interface-name eth0\n  hostler slapos node format --now",
		Args:    cobra.NoArgs,
		RunE:    s.RunE(func(ctx context.Context, _ []string) error { return configureLocal(ctx, s, o) }),
	}
	f := cmd.Flags()
	f.StringVar(&o.Interface, "interface-name", "lo", "the partitions' addresses are on the interface `NAME`")
	f.IntVar(&o.Partitions, "partition-number", 20, "how many partitions: `N`")
	f.StringVar(&o.Network, "ipv4-local-network", "10.0.0.0/16", "the partitions' IPv4 addresses are in `NET`")
	f.StringVar(&o.IP, "daemon-listen-ip", "127.0.0.1", "the master listens on `ADDR`, which is this machine's alone")
	f.IntVar(&o.Port, "daemon-listen-port", 8080, "and on the port `N`")
	f.StringVar(&o.Instances, "slapos-instance-root", "/srv/slapgrid", "instances go to `DIR`")
	f.StringVar(&o.Software, "slapos-software-root", "/opt/slapgrid", "software goes to `DIR`")
	f.StringVar(&o.Buildout, "slapos-buildout-directory", "/opt/slapos", "the state of the master and the pid files go to `DIR`")
	f.StringVar(&o.Dir, "slapos-configuration-directory", "/etc/opt/slapos", "slapos.cfg goes to `DIR`")
	f.BoolVar(&o.cache, "enable-shacache-proxy", false, "have the master be a binary cache too")
	for _, name := range []string{
		"slapos-instance-root", "slapos-software-root", "slapos-buildout-directory", "slapos-configuration-directory",
	} {
		_ = cmd.MarkFlagDirname(name)
	}
	return cmd
}

// configureLocal writes the files, and starts the master.
func configureLocal(ctx context.Context, s *session.Session, o *localOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := service.CheckPlatform(); err != nil {
		return err
	}
	client, err := s.ClientFile()
	if err != nil {
		return err
	}
	v := localView{Computer: configure.LocalComputer, Config: filepath.Join(o.Dir, "slapos.cfg"), Master: o.Master()}
	if v.Client, err = filepath.Abs(client); err != nil {
		return err
	}
	if o.cache {
		o.CachePath = slapos.CachePath
	}
	defined, err := o.Network6()
	if err != nil {
		return err
	}
	if err := configure.Settle(v.Config, o.Text(defined), 0o755); err != nil {
		return err
	}
	if err := configure.Settle(v.Client, o.Client().Text(), 0o700); err != nil {
		if !errors.Is(err, compute.ErrConflict) {
			return err
		}
		s.Log.Warn("%s is there already, and stays as it is: its master_url would have to be %s.", v.Client, v.Master)
	}
	for _, dir := range []string{o.Buildout, o.Instances, o.Software} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	s.File = v.Config
	n, err := nodecmd.OpenNode(s)
	if err != nil {
		return err
	}
	defer n.Close()
	if err := runMaster(ctx, n, o.Buildout); err != nil {
		return err
	}
	s.Log.Say(
		"This machine is %s of %s, which runs; %s is written. hostler slapos node format --now makes its partitions.",
		v.Computer, v.Master, v.Config,
	)
	if s.App.JSON {
		return s.App.PrintJSON(v)
	}
	return nil
}
