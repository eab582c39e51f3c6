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

// Unread adds a hint to an error about a source that is configured here, but unknown to our own
// controller.
func (a *App) Unread(name string, err error) error {
	if !a.Self().Own || !errors.Is(err, compute.ErrNotFound) {
		return err
	}
	cfg, cfgErr := a.Host.Configuration()
	if cfgErr != nil {
		return err
	}
	if _, cfgErr = cfg.Source(name); cfgErr != nil {
		return err
	}
	if a.IsSource(name) {
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
	c, _, err := a.Controller(ctx)
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
	return c, nil
}
