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

// Controller finds the controller to use, and who the user is there. It tries --controller,
// $HOSTLER_CONTROLLER and hostler login, then the user's own on this machine, then the machine's.
// It returns nil if there is none, or with --embedded.
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
		// a killed controller leaves its socket
		a.Log.Debug("a controller's socket without a controller, or for others", "socket", path, "err", err)
	}
	return nil, api.Self{}, nil
}

// Fits reports whether a controller that was not named has the configuration and the state of this
// command. The user's own may have others. That is so if the command is in a tree with sources of
// its own, or was given another directory. Then it works by itself. The machine's controller has
// its own state. It does not fit either if such a tree or directory is in use.
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

// Sources returns the status of all sources of the controller, if there is one.
func (a *App) Sources(ctx context.Context) []compute.SourceStatus {
	if a.statuses == nil && a.Remote != nil {
		a.statuses, _ = a.Remote.Status(ctx) // a later request reports the error
	}
	return a.statuses
}

// RemoteSource returns a source of the controller.
func (a *App) RemoteSource(name string) (compute.SourceStatus, bool) {
	all := a.Sources(context.Background())
	i := slices.IndexFunc(all, func(s compute.SourceStatus) bool { return s.Name == name && !s.Orphaned })
	if i < 0 {
		return compute.SourceStatus{}, false
	}
	return all[i], true
}

// remoteLeaf returns the real instance behind one of the controller's, and its source.
func remoteLeaf(ctx context.Context, a *App, i compute.Instance) (compute.Instance, compute.SourceStatus, error) {
	s, ok := a.RemoteSource(i.Source)
	if !ok || !a.Host.Kinds.Kind(s.Type).Pool {
		return i, s, nil
	}
	leaf, err := a.Remote.Leaf(ctx, i.ID)
	s, _ = a.RemoteSource(leaf.Source)
	return leaf, s, err
}

// Here reports whether the engine's local instance is this process's machine and user.
func (a *App) Here() bool { return a.Remote == nil || a.Self.Here && a.Self.Own }

// ConnectRemote connects to an instance of a controller, and returns the type of its real source.
// If the controller is our own, this machine is used from this process, with its environment,
// terminal and limits.
func (a *App) ConnectRemote(ctx context.Context, who compute.Who, i compute.Instance) (compute.Conn, string, error) {
	leaf, s, err := remoteLeaf(ctx, a, i)
	if err != nil {
		return nil, "", err
	}
	if !a.Host.Kinds.Kind(s.Type).Itself || !a.Here() {
		conn, err := a.Remote.Connect(ctx, who, i.ID)
		return conn, s.Type, err
	}
	if _, err := a.Remote.Use(ctx, who, i.ID); err != nil {
		return nil, "", err
	}
	state, err := host.StateDir() // our own controller cleans what we put there
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
	return conn, s.Type, err
}

// Unread adds a hint to an error about a source that is configured here, but unknown to our own
// controller.
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

// TheController returns the controller, for features that only a controller has.
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
