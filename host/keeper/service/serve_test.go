package service

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/keeper"
)

// keeperHost is a keeper's host in a home directory of its own, in which nothing is yet.
func keeperHost(t *testing.T) (h *host.Host, home string) {
	t.Helper()
	for _, name := range []string{"HOSTLER_CONTROLLER", "HOSTLER_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME"} {
		t.Setenv(name, "")
	}
	home = t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(home, "run"))
	h = host.New(host.Options{})
	h.Tree, h.Now, h.Role = home, true, host.Keeper
	t.Cleanup(h.Close)
	return h, home
}

// TestConnect has the keeper open connections: what was opened for one is closed with it, and at
// once where there is none to be had.
func TestConnect(t *testing.T) {
	h, _ := keeperHost(t)
	engine, err := h.Engine(t.Context())
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
		b := h.Afresh()
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
