package cli

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/socket"
	"github.com/hostler-project/hostler/provider/local"
)

// Controller finds the controller to ask and who we are to it: that of --controller, of
// $HOSTLER_CONTROLLER, of hostler login, else the user's own on this machine, else the machine's.
// nil: there is none, or --embedded wants none.
func (a *App) Controller(ctx context.Context) (*client.Client, api.Self, error) {
	if a.Flags.Embedded {
		return nil, api.Self{}, nil
	}
	if t, err := a.Named(); err != nil || t.Where != "" {
		if err != nil {
			return nil, api.Self{}, err
		}
		a.chosen = true
		return t.Ask(ctx)
	}
	var dirs []string
	if dir, err := host.RuntimeDir(); err == nil {
		dirs = append(dirs, dir)
	}
	for _, dir := range append(dirs, socket.MachineDir) {
		path := filepath.Join(dir, socket.SocketName)
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		c, err := client.New(client.Options{Socket: path, Project: a.Project(), Reason: a.Flags.reason()})
		if err != nil {
			return nil, api.Self{}, err
		}
		self, err := c.Self(ctx)
		if err == nil {
			a.Machine = dir == socket.MachineDir
			return c, self, nil
		}
		_ = c.Close()
		if dial := (*net.OpError)(nil); !errors.As(err, &dial) || dial.Op != "dial" {
			return nil, api.Self{}, err
		}
		// one that was killed
		a.Log.Debug("a controller's socket without a controller, or for others", "socket", path, "err", err)
	}
	return nil, api.Self{}, nil
}

// Fits reports whether a controller that nobody named has the configuration that this command is
// about, and its state. Our own may have another: then the command is in a tree with sources of its
// own, or was told of another directory, and works by itself. The machine's has its own state and
// what is configured for the machine; to it the same goes for trees and directories that were
// named.
func (a *App) Fits(self api.Self) (bool, error) {
	if a.chosen {
		return true, nil
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return false, err
	}
	a.Same = self.Own && self.Configuration == socket.ConfigurationName(cfg)
	if a.Same || !a.Machine {
		return a.Same || !self.Own, nil
	}
	return !slices.ContainsFunc(cfg.Roots, func(r config.Root) bool {
		return r.Exists && (r.Tree || r.Kind == "flag" || r.Kind == "env")
	}), nil
}

// Sources tells how all sources stand, where a controller has them.
func (a *App) Sources(ctx context.Context) []compute.SourceStatus {
	if a.statuses == nil && a.Remote != nil {
		a.statuses, _ = a.Remote.Status(ctx) // what is asked of it next says why not
	}
	return a.statuses
}

// RemoteSource is a source of the controller's.
func (a *App) RemoteSource(name string) (compute.SourceStatus, bool) {
	all := a.Sources(context.Background())
	i := slices.IndexFunc(all, func(s compute.SourceStatus) bool { return s.Name == name && !s.Orphaned })
	if i < 0 {
		return compute.SourceStatus{}, false
	}
	return all[i], true
}

// remoteLeaf is the real instance behind one of the controller's, and its source.
func remoteLeaf(ctx context.Context, a *App, i compute.Instance) (compute.Instance, compute.SourceStatus, error) {
	s, ok := a.RemoteSource(i.Source)
	if !ok || s.Type != "pool" {
		return i, s, nil
	}
	leaf, err := a.Remote.Leaf(ctx, i.ID)
	s, _ = a.RemoteSource(leaf.Source)
	return leaf, s, err
}

// Here reports whether the machine and the user that an engine's local instance means are this
// process's own.
func (a *App) Here() bool { return a.Remote == nil || a.Self.Here && a.Self.Own }

// ConnectRemote opens a way into a controller's instance, and says which type of source it is
// really of. This machine itself, where the controller is our own, is used from this process: with
// our environment, terminal and limits.
func (a *App) ConnectRemote(ctx context.Context, who compute.Who, i compute.Instance) (compute.Conn, string, error) {
	leaf, s, err := remoteLeaf(ctx, a, i)
	if err != nil {
		return nil, "", err
	}
	if s.Type != "local" || !a.Here() {
		conn, err := a.Remote.Connect(ctx, who, i.ID)
		return conn, s.Type, err
	}
	if _, err := a.Remote.Use(ctx, who, i.ID); err != nil {
		return nil, "", err
	}
	state, err := host.StateDir() // our own controller's too: it cleans what we put there
	if err != nil {
		return nil, "", err
	}
	p, err := local.Open(ctx, a.Log, local.Options{
		Source: leaf.Source, Installation: a.Self.Installation, Dir: host.ComputersDir(state, leaf.Source),
	})
	if err != nil {
		return nil, "", err
	}
	conn, err := p.Connect(ctx, leaf.ID)
	return conn, "local", err
}

// Unread adds a hint to an error about a source that is configured here and that our own controller
// does not know.
func (a *App) Unread(name string, err error) error {
	if a.Remote == nil || !a.Self.Own || !errors.Is(err, compute.ErrNotFound) {
		return err
	}
	cfg, cfgErr := a.Host.Configuration()
	if cfgErr != nil {
		return err
	}
	if _, cfgErr = cfg.Source(name); cfgErr != nil {
		return err
	}
	if _, known := a.RemoteSource(name); known {
		return err
	}
	return &compute.Error{
		ID: compute.ID(name), Kind: compute.ErrNotFound,
		Err:  errors.New("the controller has not read the configuration since this source is in it"),
		Hint: "hostler reload",
	}
}

// TheController is the controller, for what there is nowhere else.
func (a *App) TheController(ctx context.Context, what string) (*client.Client, error) {
	c, self, err := a.Controller(ctx)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, fault.Invalid(
			"hostler serve starts one; --controller names one elsewhere", "%s needs a controller, and none runs here",
			what,
		)
	}
	a.Host.OnClose(func() { _ = c.Close() })
	a.Self = self
	return c, nil
}
