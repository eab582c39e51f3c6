package sshhost_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/guard"
	"github.com/hostler-project/hostler/provider/sshhost"
)

func TestMain(m *testing.M) {
	_ = os.Unsetenv("SSH_AUTH_SOCK")
	code := m.Run()
	if hosts.up {
		_, _ = script("down")
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// hosts are the lab's, brought up by the first test that asks.
var hosts struct {
	once sync.Once
	kv   map[string]string
	up   bool
}

func script(args ...string) (map[string]string, error) {
	return computetest.Lab{Set: "provider-sshhost", Net: 22}.Try("ssh-hosts", args...)
}

func lab(t *testing.T) map[string]string {
	t.Helper()
	hosts.once.Do(func() {
		hosts.kv = map[string]string{}
		if os.Geteuid() != 0 {
			hosts.kv["skip"] = "needs root"
			return
		}
		kv, err := script("up", "2")
		hosts.kv, hosts.up = kv, err == nil
	})
	if !hosts.up && os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
		t.Fatalf("ssh-hosts: the lab is required: %s", hosts.kv["skip"])
	}
	if !hosts.up {
		t.Skipf("ssh-hosts: no lab here: %s", hosts.kv["skip"])
	}
	return hosts.kv
}

func open(t *testing.T, o sshhost.Options) *sshhost.Provider {
	t.Helper()
	o.Source = "suite"
	p, err := sshhost.Open(context.Background(), slog.New(slog.DiscardHandler), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProvider(t *testing.T) {
	kv := lab(t)
	for name, wrap := range map[string]func(compute.Provider) compute.Provider{
		"bare":    func(p compute.Provider) compute.Provider { return p },
		"guarded": func(p compute.Provider) compute.Provider { return guard.New(p, guard.Options{Creates: 2}) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "own")
			computetest.Provider(t, computetest.ProviderOptions{
				New: func(t *testing.T) compute.Provider {
					return wrap(open(
						t,
						sshhost.Options{
							Installation: name, Hosts: []string{"lab1", "user@lab2:22"}, ConfigFile: kv["ssh_config"],
							Dir: dir,
						},
					))
				},
				Leak: func() (out []string) {
					all, _ := filepath.Glob("/proc/[0-9]*/environ")
					for _, f := range all {
						if b, _ := os.ReadFile(f); bytes.Contains(b, []byte(sshhost.Mark+"="+name+"/suite-")) {
							out = append(out, f)
						}
					}
					return out
				},
			})
		})
	}
}

// What is taken and given back without being used is not asked: hosts that do not exist can be
// acquired, as they always could.
func TestNothingConnectsUnused(t *testing.T) {
	p := open(t, sshhost.Options{Hosts: []string{"no.such.host.invalid", "b-c.invalid"}, Dir: t.TempDir()})
	if got := p.Names(); len(got) != 2 || got[0] != "no.such.host.invalid" {
		t.Errorf("Names: %q", got)
	}
	for _, id := range []compute.ID{"suite-no.such.host.invalid", "suite-b-c.invalid"} {
		in, err := p.Create(t.Context(), compute.Spec{ID: id})
		if err != nil || in.ID != id || in.Address == "" {
			t.Errorf("Create(%s): %+v, %v", id, in, err)
		}
		if said, err := p.Clean(t.Context(), id); err != nil || said != "nothing was run" {
			t.Errorf("Clean(%s): %q, %v", id, said, err)
		}
		if err := p.Destroy(t.Context(), id); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("Destroy(%s): %v", id, err)
		}
	}
	if all, err := p.List(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("List: %v, %v", all, err)
	}
}

func TestConnectUnresolvable(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := open(t, sshhost.Options{Hosts: []string{"no-such-host.invalid"}, ConfigFile: config, Timeout: 20 * time.Second})
	_, err := p.Connect(t.Context(), "suite-no-such-host.invalid")
	if !errors.Is(err, compute.ErrUnavailable) && !errors.Is(err, compute.ErrTimeout) || errors.Is(err, compute.ErrNotFound) {
		t.Errorf("got %v, want ErrUnavailable: ErrNotFound would mean that there is no such instance", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, h := range [][]string{nil, {""}, {"a", "b", "a"}, {"-oProxyCommand=x"}, {"a b"}} {
		_, err := sshhost.Open(t.Context(), slog.New(slog.DiscardHandler), sshhost.Options{Source: "web", Hosts: h})
		if !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("Open with hosts %q: %v, want ErrInvalid", h, err)
		}
	}
}

// A host that was used is asked until it has been: what was left there must not be forgotten
// because it was away for a while.
func TestCleanWhileAway(t *testing.T) {
	kv := lab(t)
	p := open(
		t,
		sshhost.Options{
			Installation: "away", Hosts: []string{"lab2"}, ConfigFile: kv["ssh_config"], Timeout: 2 * time.Second,
			Dir: t.TempDir(),
		},
	)
	conn, err := p.Connect(t.Context(), "suite-lab2")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	_, err = conn.Run(
		t.Context(),
		&compute.Command{Args: []string{"sh", "-c", "sleep 3986 </dev/null >/dev/null 2>&1 & echo $!"}, Stdout: &out},
	)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if _, err := script("fault", "2", "refuse"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = script("heal", "2") })
	for range 2 {
		if _, err := p.Clean(t.Context(), "suite-lab2"); !errors.Is(err, compute.ErrUnavailable) {
			t.Errorf("Clean of a host that is away: %v, want ErrUnavailable", err)
		}
		if err := p.Destroy(t.Context(), "suite-lab2"); err == nil || errors.Is(err, compute.ErrNotFound) {
			t.Errorf("Destroy of a host that is away: %v, want another error than ErrNotFound", err)
		}
	}
	if _, err := script("heal", "2"); err != nil {
		t.Fatal(err)
	}
	said, err := p.Clean(t.Context(), "suite-lab2")
	if err != nil || !strings.HasSuffix(said, " processes ended, none with our mark left") {
		t.Errorf("Clean: %q, %v", said, err)
	}
	if said, err := p.Clean(t.Context(), "suite-lab2"); err != nil || said != "nothing was run" {
		t.Errorf("Clean again: %q, %v", said, err)
	}
}
