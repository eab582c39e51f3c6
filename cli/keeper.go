package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
		_, _ = engine.RunDue(ctx) // failures are recorded, and the next command tries again
	}
}
