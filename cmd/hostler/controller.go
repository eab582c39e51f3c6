package main

import (
	"cmp"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/client"
)

// socketName is a controller's socket in a directory for such things.
const socketName = "controller.sock"

// machineDir is where the machine's controller has its socket.
const machineDir = "/run/hostler"

// controller finds the controller to ask: that of --controller, of $HOSTLER_CONTROLLER, else the user's own on this machine, else the machine's. nil:
// there is none, or --embedded wants none.
func (a *app) controller(ctx context.Context) (*client.Client, error) {
	if a.flags.embedded {
		return nil, nil
	}
	if where := cmp.Or(a.flags.controller, os.Getenv("HOSTLER_CONTROLLER")); where != "" {
		if socket, ok := strings.CutPrefix(where, "unix:"); ok || filepath.IsAbs(where) {
			return client.New(client.Options{Socket: cmp.Or(socket, where)})
		}
		return client.New(client.Options{URL: where, Token: os.Getenv("HOSTLER_TOKEN")})
	}
	var dirs []string
	if dir, err := runtimeDir(); err == nil {
		dirs = append(dirs, dir)
	}
	for _, dir := range append(dirs, machineDir) {
		socket := filepath.Join(dir, socketName)
		if _, err := os.Lstat(socket); err != nil {
			continue
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket) // one that nobody listens on is of a controller that was killed
		if err != nil {
			a.log.Debug("a controller's socket without a controller", "socket", socket, "err", err)
			continue
		}
		_ = conn.Close()
		return client.New(client.Options{Socket: socket})
	}
	return nil, nil
}

// remoteName is whose our leases are to the controller.
func (a *app) remoteName() string {
	if a.name == "" {
		if self, err := a.remote.Self(context.Background()); err == nil { // else what is asked next says why not
			a.name = self.Name
		}
	}
	return a.name
}
