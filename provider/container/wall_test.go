//go:build linux

package container_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest/wayout/world"
	"github.com/hostler-project/hostler/provider/container"
)

// TestWalledIn tries all ways out of a container: without a key, with a policy that opens one of
// them, and, so that the tries prove something, in the engine's own network, which has no wall.
func TestWalledIn(t *testing.T) {
	prober := filepath.Join(t.TempDir(), "prober")
	build := exec.Command("go", "build", "-o", prober, "./testdata/prober")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("err = %v, out = %s; want no error", err, string(out))
	}
	program, err := os.ReadFile(prober)
	if err != nil {
		t.Fatal(err)
	}
	both(t, func(t *testing.T, d *daemon) {
		bridges(t, d)
		d.world(t)
		for name, c := range map[string]struct {
			o    container.Options
			want func(others int) bool
		}{
			"usual": {container.Options{Network: "default"}, func(n int) bool { return n == 0 }},
			"some": {container.Options{Network: "default", Egress: []string{"internet", "10.0.0.0/8:80"}},
				func(n int) bool { return n == 4 }}, // two of them, one by UDP too and as of IPv6
			"none": {container.Options{Network: map[*daemon]string{docker: "bridge", podman: "podman"}[d]},
				func(n int) bool { return n >= 18 }},
		} {
			t.Run(name, func(t *testing.T) {
				p := open(t, d, c.o)
				create(t, p, "suite-1")
				conn := connect(t, p, "suite-1")
				lines := strings.Fields(strings.ReplaceAll(probe(t, conn, program), " ", "_"))
				if len(lines) < 2 || lines[0] != "world" || lines[1] != "world" || !c.want(len(lines)-2) {
					t.Errorf("reached: %s", lines)
				}
			})
		}
		d.forgetNetworks(t)
	})
}

// probe runs the prober in a container.
func probe(t *testing.T, conn compute.Conn, program []byte) string {
	t.Helper()
	exit, err := conn.Run(t.Context(), &compute.Command{
		Args: []string{"sh", "-c", "cat >/prober && chmod +x /prober"}, Stdin: bytes.NewReader(program),
	})
	if err != nil || exit.Status() != 0 {
		t.Fatalf("exit = %v, err = %v; want no error and exit.Status() == 0", exit, err)
	}
	return sh(t, conn, `exec /prober "$(ip route | sed -n 's/^default via \([0-9.]*\).*/\1/p')"`)
}

// TestNeighbours: containers behind one wall do not reach each other; this machine reaches them.
func TestNeighbours(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		bridges(t, d)
		d.world(t)
		p := open(t, d, container.Options{Network: "default"})
		a := create(t, p, "suite-1")
		create(t, p, "suite-2")
		ctx, cancel := context.WithCancel(t.Context())
		conn, ended := connect(t, p, "suite-1"), make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = conn.Run(ctx, &compute.Command{Args: []string{"sh", "-c",
				"mkdir /www; echo hello >/www/index.html; exec httpd -f -p 8080 -h /www"}})
		}()
		defer func() { cancel(); <-ended }()
		var body []byte
		for end := time.Now().Add(20 * time.Second); string(body) != "hello\n"; {
			d.within(t, func() { body, _ = get(a.Address + ":8080") })
			if time.Now().After(end) {
				t.Fatalf("from this machine: %q", body)
			}
		}
		d.within(t, func() { // else the kernel may show the rules what goes from port to port
			const shown = "/proc/sys/net/bridge/bridge-nf-call-iptables"
			if err := os.WriteFile(shown, []byte("0"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		})
		try := `printf 'GET / HTTP/1.0\r\n\r\n' | timeout 3 nc ` + a.Address + ` 8080 2>&1 | tail -n 1`
		if got := sh(t, connect(t, p, "suite-2"), try); strings.Contains(got, "hello") {
			t.Errorf("from a neighbour: %s", got)
		}
		destroy(t, p, "suite-1")
		destroy(t, p, "suite-2")
		d.forgetNetworks(t)
	})
}

// TestNoWall: where an ordinary user's engine is asked, a policy is refused, and without one the
// container is made as the engine makes it.
func TestNoWall(t *testing.T) {
	d := rootless.need(t)
	_, err := open(t, d, container.Options{Network: "default", Egress: []string{"internet"}}).
		Create(t.Context(), compute.Spec{ID: "suite-1"})
	if !errors.Is(err, compute.ErrDenied) || !strings.Contains(err.Error(), "ordinary user's") {
		t.Errorf(`err = %v; want error compute.ErrDenied and err.Error() with "ordinary user's"`, err)
	}
}

// bridges skips where an engine has nothing to make bridges with.
func bridges(t *testing.T, d *daemon) {
	t.Helper()
	if _, err := os.Stat("/usr/lib/cni/bridge"); d == podman && err != nil {
		t.Skip("podman: no CNI plugins: ", err)
	}
}

// forgetNetworks removes the networks of ours, which the engine keeps.
func (d *daemon) forgetNetworks(t *testing.T) {
	t.Helper()
	b := d.api(t, http.MethodGet, "/networks", nil)
	for _, part := range strings.Split(string(b), `"`) {
		if strings.HasPrefix(part, "hostler-hsb-") {
			_, _ = d.request(http.MethodDelete, "/networks/"+part, nil)
		}
	}
}

// world makes the surroundings in which the ways out lead somewhere.
func (d *daemon) world(t *testing.T) {
	t.Helper()
	var end func()
	var err error
	d.within(t, func() { end, err = world.Build() })
	t.Cleanup(func() { d.within(t, end) })
	if err != nil {
		t.Fatal(err)
	}
}
