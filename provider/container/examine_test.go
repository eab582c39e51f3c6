//go:build linux

package container_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/container"
	"github.com/hostler-project/hostler/remote/agent"
)

// first examines by $DOCKER_HOST and returns what is said of it.
func first(t *testing.T, host string, find agent.Finder) compute.Finding {
	t.Helper()
	t.Setenv("DOCKER_HOST", host)
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	all := container.Examine(t.Context(), find)
	if len(all) == 0 {
		t.Fatal("nothing is said")
	}
	return all[0]
}

func TestExamine(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		images := func() string {
			var all []struct{ RepoTags []string }
			if err := json.Unmarshal(d.api(t, http.MethodGet, "/images/json", nil), &all); err != nil {
				t.Fatal(err)
			}
			b, _ := json.Marshal(all)
			return string(b)
		}
		before := images()
		for _, find := range []agent.Finder{nil, finder(t)} {
			f := first(t, "unix://"+d.socket, find)
			if f.Result != "ok" || !strings.HasPrefix(f.Detail, d.name+" ") ||
				!strings.Contains(f.Detail, "cgroup v") || strings.Contains(f.Detail, "entered") != (find != nil) {
				t.Errorf(
					"f = %+v"+
						`; want f.Result == "ok" and strings.HasPrefix(f.Detail, d.name+" ") and f.Detail with `+
						`"cgroup v" and strings.Contains(f.Detail, "entered") == (find != nil)`,
					f,
				)
			}
			t.Log(f.Detail)
		}
		if after := images(); after != before {
			t.Errorf("images before %s, after %s", before, after)
		}
		if b := d.api(t, http.MethodGet, "/containers/json?all=1", nil); strings.TrimSpace(string(b)) != "[]" {
			t.Errorf("left behind: %s", b)
		}
		if f := first(
			t, "unix://"+d.socket,
			func(string) (agent.Program, error) { return agent.Program{Path: "/etc/hostname"}, nil },
		); f.Result != "fail" {
			t.Errorf("with a guest program that is none: %+v", f)
		}
	})
}

func TestExamineNothing(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for host, says := range map[string]string{
		"unix://" + dead: "start docker",
		"unix://" + filepath.Join(dir, "none.sock"): "start docker",
		"tcp://10.0.0.1:2375":                       "type ssh",
	} {
		if f := first(t, host, nil); f.Result != "warn" || !strings.Contains(f.Hint, says) {
			t.Errorf("%s: %+v, want a hint with %q", host, f, says)
		}
	}
	t.Setenv("DOCKER_HOST", "")
	if _, err := os.Stat("/var/run/docker.sock"); err == nil {
		t.Skip("this machine has an engine of its own")
	}
	for _, f := range container.Examine(t.Context(), nil) {
		if f.Result == "fail" || f.Hint == "" {
			t.Errorf(`f = %+v; want f.Result != "fail" and f.Hint != ""`, f)
		}
	}
}
