//go:build linux

package container_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/container"
	"github.com/hostler-project/hostler/provider/guard"

	"github.com/hostler-project/hostler/image/registry"
)

// both runs a test with each engine.
func both(t *testing.T, test func(t *testing.T, d *daemon)) {
	t.Helper()
	for _, d := range []*daemon{docker, podman} {
		t.Run(d.name, func(t *testing.T) { test(t, d.need(t)) })
	}
}

// open opens a provider with what the tests set where they do not say otherwise.
func open(t testing.TB, d *daemon, o container.Options) *container.Provider {
	t.Helper()
	if o.Source == "" {
		o.Source = "suite"
	}
	if o.Installation == "" {
		o.Installation = "mine"
	}
	if o.Image == "" {
		o.Image, o.Pull = "tiny", "never"
	}
	if o.Network == "" {
		o.Network = "none"
	}
	if o.Network == "default" {
		o.Network = ""
	}
	o.Socket = d.socket
	if o.Agent == nil {
		o.Agent = finder(t)
	}
	o.Registry = registry.Client{}
	p, err := container.Open(t.Context(), slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func destroy(t testing.TB, p *container.Provider, id compute.ID) {
	t.Helper()
	for range 100 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err := p.Destroy(ctx, id)
		cancel()
		if errors.Is(err, compute.ErrNotFound) {
			return
		} else if err != nil {
			t.Errorf("Destroy(%s): %v", id, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("Destroy(%s) does not come to an end", id)
}

func create(t testing.TB, p *container.Provider, id compute.ID) compute.Instance {
	t.Helper()
	in, err := p.Create(t.Context(), compute.Spec{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { destroy(t, p, id) })
	return in
}

func connect(t testing.TB, p *container.Provider, id compute.ID) compute.Conn {
	t.Helper()
	conn, err := p.Connect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// sh runs a script, which must exit with 0, and returns what it printed.
func sh(t testing.TB, conn compute.Conn, script string) string {
	t.Helper()
	var out bytes.Buffer
	exit, err := conn.Run(t.Context(), &compute.Command{Args: []string{"sh", "-c", script}, Stdout: &out, Stderr: &out})
	if err != nil || exit.Status() != 0 {
		t.Errorf("%s: exit = %+v, err = %v: out = %s; want no error and exit.Status() == 0", script, exit, err, out.String())
	}
	return strings.TrimSpace(out.String())
}

func TestProvider(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		for _, way := range []string{"mounted", "copied and guarded"} {
			t.Run(way, func(t *testing.T) {
				in := func(installation string) func(*testing.T) compute.Provider {
					return func(t *testing.T) compute.Provider {
						p := open(t, d, container.Options{Installation: installation, CopyAgent: way != "mounted"})
						if way != "mounted" {
							return guard.New(p, guard.Options{Creates: 3, Timeout: map[string]time.Duration{"": time.Minute}, Retries: 1})
						}
						return p
					}
				}
				computetest.Provider(t, computetest.ProviderOptions{
					New: in("mine"), Foreign: in("theirs"), Installation: "mine", Patience: 30 * time.Second, Parallel: 4, Leak: d.left,
				})
			})
		}
	})
}

// TestRootless has podman of an ordinary user, with which root inside is that user.
func TestRootless(t *testing.T) {
	d := rootless.need(t)
	in := func(installation string) func(*testing.T) compute.Provider {
		return func(t *testing.T) compute.Provider { return open(t, d, container.Options{Installation: installation}) }
	}
	computetest.Provider(t, computetest.ProviderOptions{
		New: in("mine"), Foreign: in("theirs"), Installation: "mine", Patience: 30 * time.Second, Parallel: 4, Leak: d.left,
	})
	p := open(t, d, container.Options{})
	created := create(t, p, "suite-1")
	if got := sh(t, connect(t, p, "suite-1"), "id -u"); got != "0" {
		t.Errorf("inside we are %s", got)
	}
	var c struct{ State struct{ Pid int } }
	if err := json.Unmarshal(d.api(t, http.MethodGet, "/containers/"+created.ProviderID+"/json", nil), &c); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(fmt.Sprintf("/proc/%d", c.State.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if uid := fi.Sys().(*syscall.Stat_t).Uid; uid != 65534 {
		t.Errorf("outside we are %d", uid)
	}
}

func TestConn(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		p := open(t, d, container.Options{})
		create(t, p, "suite-1")
		skip := map[string]string{}
		if d == podman {
			skip["Sparse"] = "takes its time, and holes are no affair of the engine's: seen with docker"
		}
		computetest.Conn(t, computetest.ConnOptions{
			New: func(t *testing.T) compute.Conn { return connect(t, p, "suite-1") }, Dir: "/tmp", Shell: true, Skip: skip,
		})
	})
}
