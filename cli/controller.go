package cli

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute/fault"
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
		c, err := client.New(client.Options{Socket: path, Project: a.Project(), Reason: a.Flags.reason(), Slow: a.saySlow})
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

// saySlow says that a controller does not answer.
func (a *App) saySlow(controller string) { a.Say("the controller %s does not answer yet", controller) }

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

// FindController finds the controller, if there is one. Otherwise a.Remote stays nil, and the
// command works by itself.
func (a *App) FindController(ctx context.Context) error {
	if a.Remote != nil || a.Host.Opened() != nil || a.Compat || a.Host.Role == host.Keeper {
		return nil
	}
	if a.Host.Whole != nil {
		// whether this process goes on at all is known before it has done anything
		_, _ = a.Host.Configuration() // a command that needs it gets the error again
	}
	c, self, err := a.Controller(ctx)
	if c != nil {
		a.Host.OnClose(func() { _ = c.Close() })
	}
	fits := false
	if err == nil && c != nil {
		fits, err = a.Fits(self)
	}
	if err == nil && fits {
		a.Remote, a.self = c, self
	}
	a.Log.Debug("the controller", "found", c != nil, "asked", a.Remote != nil, "err", err)
	return err
}
