package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/provider/local"
)

// socketName is a controller's socket in a directory for such things.
const socketName = "controller.sock"

// machineDir is where the machine's controller has its socket.
const machineDir = "/run/hostler"

// controller finds the controller to ask and who we are to it: that of --controller, of
// $HOSTLER_CONTROLLER, of hostler login, else the user's own on this machine, else the machine's.
// nil: there is none, or --embedded wants none.
func (a *app) controller(ctx context.Context) (*client.Client, api.Self, error) {
	if a.flags.embedded {
		return nil, api.Self{}, nil
	}
	if t, err := a.named(); err != nil || t.where != "" {
		if err != nil {
			return nil, api.Self{}, err
		}
		a.chosen = true
		return t.ask(ctx)
	}
	var dirs []string
	if dir, err := host.RuntimeDir(); err == nil {
		dirs = append(dirs, dir)
	}
	for _, dir := range append(dirs, machineDir) {
		socket := filepath.Join(dir, socketName)
		if _, err := os.Lstat(socket); err != nil {
			continue
		}
		c, err := client.New(client.Options{Socket: socket, Project: a.project(), Reason: a.reason()})
		if err != nil {
			return nil, api.Self{}, err
		}
		self, err := c.Self(ctx)
		if err == nil {
			a.machine = dir == machineDir
			return c, self, nil
		}
		_ = c.Close()
		if dial := (*net.OpError)(nil); !errors.As(err, &dial) || dial.Op != "dial" {
			return nil, api.Self{}, err
		}
		// one that was killed
		a.Log.Debug("a controller's socket without a controller, or for others", "socket", socket, "err", err)
	}
	return nil, api.Self{}, nil
}

// fits reports whether a controller that nobody named has the configuration that this command is
// about, and its state. Our own may have another: then the command is in a tree with sources of its
// own, or was told of another directory, and works by itself. The machine's has its own state and
// what is configured for the machine; to it the same goes for trees and directories that were
// named.
func (a *app) fits(self api.Self) (bool, error) {
	if a.chosen {
		return true, nil
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return false, err
	}
	a.same = self.Own && self.Configuration == configurationName(cfg)
	if a.same || !a.machine {
		return a.same || !self.Own, nil
	}
	return !slices.ContainsFunc(cfg.Roots, func(r config.Root) bool {
		return r.Exists && (r.Tree || r.Kind == "flag" || r.Kind == "env")
	}), nil
}

// configurationName names the directories that a configuration was read from, and that of the
// state, with its store.
func configurationName(cfg *config.Config) string {
	h := sha256.New()
	state, _ := host.StateDir() // where there is none there is no engine either
	words := []string{host.StoreName(cfg, state), state}
	for _, r := range cfg.Roots {
		if r.Exists && r.Kind != config.AppliedKind { // which is the store's
			words = append(words, r.Path)
		}
	}
	h.Write([]byte(strings.Join(words, "\x00")))
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// sources tells how all sources stand, where a controller has them.
func (a *app) sources(ctx context.Context) []compute.SourceStatus {
	if a.statuses == nil && a.remote != nil {
		a.statuses, _ = a.remote.Status(ctx) // what is asked of it next says why not
	}
	return a.statuses
}

// remoteSource is a source of the controller's.
func (a *app) remoteSource(name string) (compute.SourceStatus, bool) {
	all := a.sources(context.Background())
	i := slices.IndexFunc(all, func(s compute.SourceStatus) bool { return s.Name == name && !s.Orphaned })
	if i < 0 {
		return compute.SourceStatus{}, false
	}
	return all[i], true
}

// remoteLeaf is the real instance behind one of the controller's, and its source.
func (a *app) remoteLeaf(ctx context.Context, i compute.Instance) (compute.Instance, compute.SourceStatus, error) {
	s, ok := a.remoteSource(i.Source)
	if !ok || s.Type != "pool" {
		return i, s, nil
	}
	leaf, err := a.remote.Leaf(ctx, i.ID)
	s, _ = a.remoteSource(leaf.Source)
	return leaf, s, err
}

// here reports whether the machine and the user that an engine's local instance means are this
// process's own.
func (a *app) here() bool { return a.remote == nil || a.self.Here && a.self.Own }

// connectRemote opens a way into a controller's instance, and says which type of source it is
// really of. This machine itself, where the controller is our own, is used from this process: with
// our environment, terminal and limits.
func (a *app) connectRemote(ctx context.Context, who compute.Who, i compute.Instance) (compute.Conn, string, error) {
	leaf, s, err := a.remoteLeaf(ctx, i)
	if err != nil {
		return nil, "", err
	}
	if s.Type != "local" || !a.here() {
		conn, err := a.remote.Connect(ctx, who, i.ID)
		return conn, s.Type, err
	}
	if _, err := a.remote.Use(ctx, who, i.ID); err != nil {
		return nil, "", err
	}
	state, err := host.StateDir() // our own controller's too: it cleans what we put there
	if err != nil {
		return nil, "", err
	}
	p, err := local.Open(ctx, a.Log, local.Options{
		Source: leaf.Source, Installation: a.self.Installation, Dir: host.SiteOf(state, leaf.Source, s.Type, a.self.Installation).Dir,
	})
	if err != nil {
		return nil, "", err
	}
	conn, err := p.Connect(ctx, leaf.ID)
	return conn, "local", err
}

// unread adds a hint to an error about a source that is configured here and that our own controller
// does not know.
func (a *app) unread(name string, err error) error {
	if a.remote == nil || !a.self.Own || !errors.Is(err, compute.ErrNotFound) {
		return err
	}
	cfg, cfgErr := a.Host.Configuration()
	if cfgErr != nil {
		return err
	}
	if _, cfgErr = cfg.Source(name); cfgErr != nil {
		return err
	}
	if _, known := a.remoteSource(name); known {
		return err
	}
	return &compute.Error{
		ID: compute.ID(name), Kind: compute.ErrNotFound,
		Err:  errors.New("the controller has not read the configuration since this source is in it"),
		Hint: "hostler reload",
	}
}
