package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/keeper"
	"github.com/hostler-project/hostler/host/program"
	"github.com/hostler-project/hostler/provider/local"
)

// KeeperSocket returns the socket of the keeper for this user and store.
func KeeperSocket() (string, error) {
	state, err := host.StateDir()
	if err != nil {
		return "", err
	}
	dir, err := host.RuntimeDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(state))
	return filepath.Join(dir, "keeper-"+hex.EncodeToString(sum[:4])+".sock"), nil
}

// keeperStart returns how to start a keeper with this command's view of the machine.
func (a *App) keeperStart() (keeper.StartOptions, error) {
	socket, err := KeeperSocket()
	if err != nil {
		return keeper.StartOptions{}, err
	}
	self, err := program.Path()
	if err != nil {
		return keeper.StartOptions{}, err
	}
	state, err := host.StateDir()
	if err != nil {
		return keeper.StartOptions{}, err
	}
	opt := keeper.StartOptions{Executable: self, Args: []string{"keeper", "serve"}, Socket: socket, Log: filepath.Join(state, "keeper.log")}
	if wd, err := os.Getwd(); err == nil {
		opt.Args = append(opt.Args, "--tree", wd)
	}
	if a.Host.ConfigDir != "" {
		dir, err := filepath.Abs(a.Host.ConfigDir)
		if err != nil {
			return opt, err
		}
		opt.Args = append(opt.Args, "--config", dir)
	}
	// a run may start the keeper, but the keeper is no part of the run
	opt.Env = slices.DeleteFunc(local.Unmarked(os.Environ()), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "HOSTLER_LEASE" || name == "HOSTLER_INSTANCE" || name == "HOSTLER_RUN"
	})
	opt.Env = program.Marked(opt.Env)
	if dir := os.Getenv("HOSTLER_CONFIG"); dir != "" { // the keeper runs in another directory
		if abs, err := filepath.Abs(dir); err == nil {
			opt.Env = append(opt.Env, "HOSTLER_CONFIG="+abs)
		}
	}
	return opt, nil
}

// Ring tells the keeper of work that this command left, and starts it if needed. If no keeper is
// possible, the command does the work now.
func (a *App) Ring(ctx context.Context) {
	if !a.Host.TakeLeft() {
		return
	}
	ctx = context.WithoutCancel(ctx)
	opt, err := a.keeperStart()
	if err == nil {
		err = keeper.Wake(ctx, opt, program.Installed())
	}
	if err == nil {
		return
	}
	a.Log.Warn("no keeper, so what is left is done now", "err", err)
	if engine, err := a.Host.Engine(ctx); err == nil {
		_, _ = engine.Work(ctx) // failures are recorded, and the next command tries again
	}
}

// DialEarly asks a running keeper for a connection to the instance that the name seems to mean,
// while this process opens the state. Both take about as long. It is a guess, so the caller must
// find out what the name means. The channel gets one connection, or nil.
func (a *App) DialEarly(ctx context.Context, who compute.Who, name string) <-chan compute.Conn {
	cfg, err := a.Host.Configuration()
	if err != nil || a.Remote != nil || !slices.ContainsFunc(cfg.Sources, func(s *config.Source) bool {
		return s.Kind.Dear && strings.HasPrefix(name, s.Name+"-")
	}) {
		return nil
	}
	socket, err := KeeperSocket()
	if err != nil {
		return nil
	}
	out := make(chan compute.Conn, 1)
	go func() { // ends with the answer or with ctx
		conn, err := keeper.Dial(ctx, socket, keeper.Request{Build: program.Installed(), Who: who, Instance: compute.ID(name)})
		if err != nil {
			conn = nil
		}
		out <- conn
	}()
	return out
}

// noKeeper reports whether an error means that there is no working keeper. Refusals, and instances
// that do not answer, are other errors.
func noKeeper(err error) bool {
	var e *compute.Error
	return errors.As(err, &e) && strings.HasPrefix(e.Op, "keeper") && !errors.Is(err, compute.ErrStale)
}
