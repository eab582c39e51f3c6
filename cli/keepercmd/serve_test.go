package keepercmd

import (
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/keeper"
)

// keeperApp is a keeper's app in a home directory of its own, in which nothing is yet.
func keeperApp(t *testing.T) (a *cli.App, home string) {
	t.Helper()
	for _, name := range []string{"HOSTLER_CONTROLLER", "HOSTLER_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME"} {
		t.Setenv(name, "")
	}
	home = t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(home, "run"))
	a = cli.NewApp(nil, io.Discard, io.Discard)
	a.Host.Tree, a.Host.Now, a.Host.Role = home, true, host.Keeper
	t.Cleanup(a.Host.Close)
	return a, home
}

// TestConnect has the keeper open connections: what was opened for one is closed with it, and at
// once where there is none to be had.
func TestConnect(t *testing.T) {
	a, _ := keeperApp(t)
	engine, err := a.Host.Engine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leases, err := engine.Acquire(t.Context(), compute.Request{Source: "local", Count: 1, Owner: "u"})
	if err != nil {
		t.Fatal(err)
	}
	var closed int
	open := func(id compute.ID) (compute.Conn, error) {
		closed = 0
		b := a.Host.Afresh()
		b.OnClose(func() { closed++ })
		return connect(t.Context(), b, keeper.Key{Instance: id}, compute.Who{Owner: "u", Admin: true})
	}
	conn, err := open(leases[0].Instance)
	if err != nil {
		t.Fatal(err)
	}
	if exit, err := conn.Run(t.Context(), &compute.Command{Args: []string{"true"}}); err != nil || exit.Code != 0 || closed != 0 {
		t.Errorf("a command through it: %+v, %v; closed before its end: %d", exit, err, closed)
	}
	for range 2 {
		if err := conn.Close(); err != nil || closed != 1 {
			t.Errorf("its end: %v, what was opened for it was closed %d times", err, closed)
		}
	}
	if _, err := open("local-nobody"); !errors.Is(err, compute.ErrNotFound) || closed != 1 {
		t.Errorf("to nobody: %v, what was opened for it was closed %d times", err, closed)
	}
	// the store is open still
	if err := engine.Release(t.Context(), compute.Who{Owner: "u"}, compute.ReleaseOptions{}, leases[0].Instance); err != nil {
		t.Error(err)
	}
}
