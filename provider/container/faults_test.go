//go:build linux

package container_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/container"
	"github.com/hostler-project/hostler/remote/agent"
)

// want fails the test unless an error is of a kind and says something.
func want(t *testing.T, what string, err error, kind error, says ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: %v, want %v", what, err, kind)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error()+" "+compute.Hint(err), s) {
			t.Errorf("%s: %v (%s) does not say %q", what, err, compute.Hint(err), s)
		}
	}
}

// TestStopped stops the engine under living containers and starts it again.
func TestStopped(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		p := open(t, d, container.Options{})
		create(t, p, "suite-1")
		conn := connect(t, p, "suite-1")
		sh(t, conn, "echo kept > /root/file")
		if err := d.stop(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		started := false
		again := func() {
			if !started {
				if err := d.start(); err != nil {
					t.Fatal(err)
				}
			}
			started = true
		}
		t.Cleanup(again)
		_, err := p.List(t.Context())
		want(t, "List", err, compute.ErrUnavailable, d.name, "start")
		_, err = p.Create(t.Context(), compute.Spec{ID: "suite-2"})
		want(t, "Create", err, compute.ErrUnavailable, d.name)
		_, err = p.Connect(t.Context(), "suite-1")
		want(t, "Connect", err, compute.ErrUnavailable, d.name)
		want(t, "Destroy", p.Destroy(t.Context(), "suite-1"), compute.ErrUnavailable, d.name)
		_, err = p.Clean(t.Context(), "suite-1")
		want(t, "Clean", err, compute.ErrUnavailable, d.name)
		want(t, "Check", p.Check(t.Context(), "suite-1"), compute.ErrUnavailable, d.name)
		// podman's containers have no daemon above them: they go on, and so does what we have open
		if d == docker {
			_, err = conn.Run(t.Context(), &compute.Command{Args: []string{"true"}})
			want(t, "Run", err, compute.ErrLost, "engine")
		}

		again()
		if err := p.Check(t.Context(), "suite-1"); (err == nil) != (d == podman) {
			t.Errorf("Check when it is back: %v", err)
		}
		conn = connect(t, p, "suite-1")
		if got := sh(t, conn, "cat /root/file"); got != "kept" {
			t.Errorf("the file is %q", got)
		}
		if _, err := p.Clean(t.Context(), "suite-1"); err != nil {
			t.Errorf("Clean when it is back: %v", err)
		}
	})
}

// TestKilled ends the guest program, and podman's service as a crash would, and both are used
// again.
func TestKilled(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		p := open(t, d, container.Options{})
		create(t, p, "suite-1")
		conn := connect(t, p, "suite-1")
		sh(t, conn, "echo kept > /root/file")
		_, err := conn.Run(
			t.Context(),
			&compute.Command{Args: []string{
				"sh", "-c",
				"for p in /proc/[0-9]*; do grep -q keep-en[v] $p/cmdline 2>/dev/null && kill -9 ${p#/proc/}; done; sleep 60",
			}},
		)
		want(t, "Run while the guest program is killed", err, compute.ErrLost)
		conn = connect(t, p, "suite-1")
		sh(t, conn, "test $(cat /root/file) = kept")
		if d == docker {
			// killed without its containerd, which is its child here and a service of its own
			// elsewhere, it does not come back in time
			return
		}
		if err := d.stop(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_, err = p.List(t.Context())
		want(t, "List", err, compute.ErrUnavailable)
		if err := d.start(); err != nil {
			t.Fatal(err)
		}
		if all, err := p.List(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("List: %v, %v", all, err)
		}
		sh(t, connect(t, p, "suite-1"), "test $(cat /root/file) = kept")
		if _, err := p.Clean(t.Context(), "suite-1"); err != nil {
			t.Fatal(err)
		}
		sh(t, connect(t, p, "suite-1"), "! test -e /root/file")
	})
}

// TestBehindOurBack kills and removes containers past the provider.
func TestBehindOurBack(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		p := open(t, d, container.Options{})
		in := create(t, p, "suite-1")
		conn := connect(t, p, "suite-1")
		d.api(t, http.MethodPost, "/containers/"+in.ProviderID+"/kill", nil)
		_, err := conn.Run(t.Context(), &compute.Command{Args: []string{"true"}})
		want(t, "Run in what was killed", err, compute.ErrLost)
		if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); err != nil {
			t.Errorf("Create of what was killed: %v", err)
		}
		sh(t, connect(t, p, "suite-1"), "true")

		conn = connect(t, p, "suite-1")
		d.api(t, http.MethodPost, "/containers/"+in.ProviderID+"/pause", nil)
		_, err = p.Connect(t.Context(), "suite-1")
		want(t, "Connect to what is paused", err, compute.ErrNotReady, "paused")
		if err := p.Check(t.Context(), "suite-1"); err == nil {
			t.Error("Check of what is paused: nil")
		}
		d.api(t, http.MethodPost, "/containers/"+in.ProviderID+"/unpause", nil)

		d.api(t, http.MethodDelete, "/containers/"+in.ProviderID+"?force=1", nil)
		_, err = conn.Run(t.Context(), &compute.Command{Args: []string{"true"}})
		want(t, "Run in what was removed", err, compute.ErrLost, "removed")
		_, err = p.Connect(t.Context(), "suite-1")
		want(t, "Connect to what was removed", err, compute.ErrNotFound)
		want(t, "Check of what was removed", p.Check(t.Context(), "suite-1"), compute.ErrNotFound)
		_, err = p.Clean(t.Context(), "suite-1")
		want(t, "Clean of what was removed", err, compute.ErrNotFound)
	})
}

// TestForeign takes the name by a container that is not ours: it must not be touched, whatever is
// asked.
func TestForeign(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		p := open(t, d, container.Options{})
		for i, labels := range []map[string]string{
			nil,
			{"hostler.installation": "theirs", "hostler.source": "suite", "hostler.id": "suite-1"},
			{"hostler.installation": "mine", "hostler.source": "another", "hostler.id": "suite-1"},
		} {
			for _, name := range []string{"suite-1.mine", "suite-1.mine.new"} {
				t.Run(fmt.Sprint(i, " ", name), func(t *testing.T) {
					theirs := d.make(t, name, map[string]any{"Image": "tiny", "Entrypoint": []string{"sleep", "1000"}, "Labels": labels,
						"HostConfig": map[string]any{
							"NetworkMode": "none",
							"Ulimits": []map[string]any{
								{"Name": "nofile", "Soft": 1000, "Hard": 1000},
								{"Name": "nproc", "Soft": 1000, "Hard": 1000},
							},
						}})
					if name == "suite-1.mine" {
						_, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
						want(t, "Create", err, compute.ErrConflict)
					}
					want(t, "Destroy", p.Destroy(t.Context(), "suite-1"), compute.ErrNotFound)
					_, err := p.Connect(t.Context(), "suite-1")
					want(t, "Connect", err, compute.ErrNotFound)
					if _, err := p.Clean(t.Context(), "suite-1"); err == nil {
						t.Error("Clean: nil")
					}
					if all, err := p.List(t.Context()); err != nil || len(all) > 0 {
						t.Errorf("List: %v, %v", all, err)
					}
					d.api(t, http.MethodGet, "/containers/"+theirs+"/json", nil)
					d.api(t, http.MethodDelete, "/containers/"+theirs+"?force=1", nil)
				})
			}
		}
	})
}

// TestBroken breaks Create and Clean off at every step, as a kill would, and goes on in a new
// process.
func TestBroken(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		for _, way := range []bool{false, true} {
			count := func() (int, *container.Provider) {
				n := 0
				p := open(t, d, container.Options{CopyAgent: way})
				container.OnStep(p, func(string) error { n++; return nil })
				create(t, p, "suite-1")
				if _, err := p.Clean(t.Context(), "suite-1"); err != nil {
					t.Fatal(err)
				}
				destroy(t, p, "suite-1")
				return n, p
			}
			steps, fine := count()
			if steps < 6 {
				t.Fatalf("only %d steps", steps)
			}
			container.OnStep(fine, nil)
			died := errors.New("died")
			for at := 1; at < steps; at++ {
				n, last := 0, ""
				p := open(t, d, container.Options{CopyAgent: way})
				container.OnStep(p, func(what string) error {
					if n++; n >= at {
						last = what
						return died
					}
					return nil
				})
				_, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
				if err == nil {
					_, err = p.Clean(t.Context(), "suite-1")
				}
				if err == nil {
					err = p.Destroy(t.Context(), "suite-1")
				}
				if !errors.Is(err, died) {
					t.Fatalf("step %d: %v", at, err)
				}
				if all, err := fine.List(t.Context()); err != nil || len(all) > 1 {
					t.Errorf("broken off before %q: List has %v, %v", last, all, err)
				}
				if at%2 == 0 { // half of the time it is finished, else ended
					if _, err := fine.Clean(t.Context(), "suite-1"); err != nil && !errors.Is(err, compute.ErrNotFound) {
						t.Errorf("broken off before %q: Clean: %v", last, err)
					}
					create(t, fine, "suite-1")
					sh(t, connect(t, fine, "suite-1"), "true")
				}
				destroy(t, fine, "suite-1")
				left := d.left()
				for end := time.Now().Add(20 * time.Second); len(left) > 0 && time.Now().Before(end); left = d.left() {
					time.Sleep(20 * time.Millisecond) // podman's monitors end in their own time
				}
				if len(left) > 0 {
					t.Errorf("broken off before %q: left behind: %v", last, left)
				}
				if b := d.api(t, http.MethodGet, "/containers/json?all=1", nil); strings.TrimSpace(string(b)) != "[]" {
					t.Errorf("broken off before %q: left behind: %s", last, b)
				}
			}
		}
	})
}

// TestAnotherVersion puts a guest program of another version into a container, as an update of
// hostler does.
func TestAnotherVersion(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		old := filepath.Join(place, d.name+"-old-agent")
		script := "#!/bin/sh\ncase $1 in init) exec sleep 100000;; serve) printf 'HsAg\\0\\167\\0\\0'; exec cat >/dev/null;; esac\n"
		if err := os.WriteFile(old, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		create(
			t,
			open(t, d, container.Options{Agent: func(string) (agent.Program, error) { return agent.Program{Path: old}, nil }}),
			"suite-1",
		)
		p := open(t, d, container.Options{})
		for range 2 {
			sh(t, connect(t, p, "suite-1"), "true")
		}
	})
}

// TestOutOfMemory lets a command, and then the first process, want more than there is.
func TestOutOfMemory(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		p := open(t, d, container.Options{Memory: 48 << 20})
		create(t, p, "suite-1")
		conn := connect(t, p, "suite-1")
		eat := []string{"dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"}
		for range 2 {
			var errs bytes.Buffer
			exit, err := conn.Run(t.Context(), &compute.Command{Args: eat, Stderr: &errs})
			if err != nil || exit != (compute.Exit{Signal: "KILL", Reason: "out of memory"}) {
				t.Errorf("a command that eats memory: %+v, %v: %s", exit, err, errs.String())
			}
		}
		exit, err := conn.Run(t.Context(), &compute.Command{Args: append([]string{"sh", "-c", `"$@"; exit 3`, "sh"}, eat...)})
		if err != nil || exit.Code != 3 || exit.Reason != "out of memory" {
			t.Errorf("a script whose command eats memory: %+v, %v", exit, err)
		}
		exit, err = conn.Run(t.Context(), &compute.Command{Args: []string{"sh", "-c", "kill -9 $$"}})
		if err != nil || exit != (compute.Exit{Signal: "KILL"}) {
			t.Errorf("a command that is killed: %+v, %v", exit, err)
		}
		if exit, err := connect(t, p, "suite-1").Run(
			t.Context(), &compute.Command{Args: []string{"false"}},
		); err != nil || exit != (compute.Exit{Code: 1}) {
			t.Errorf("a command that fails, by a connection made afterwards: %+v, %v", exit, err)
		}
		sh(t, conn, "true")
	})
}

// TestImages has all that can be wrong with an image that is at the engine, or is not.
func TestImages(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		for _, c := range []struct {
			name  string
			o     container.Options
			image string
			kind  error
			says  string
		}{
			{"missing", container.Options{Image: "nobody/none", Pull: "never"}, "", compute.ErrNotFound, "pull"},
			{"wrong", container.Options{}, "UPPER CASE", compute.ErrInvalid, "image"},
			{"asked for", container.Options{}, "nobody/none", compute.ErrNotFound, "nobody/none"},
		} {
			_, err := open(t, d, c.o).Create(t.Context(), compute.Spec{ID: "suite-1", Image: c.image})
			want(t, c.name, err, c.kind, c.says)
			if hint := compute.Hint(err); strings.Contains(hint, "did you mean") {
				t.Errorf("%s: hint: %s", c.name, hint)
			}
		}
		mistyped := open(t, d, container.Options{Image: "tiyn", Pull: "never"})
		_, err := mistyped.Create(t.Context(), compute.Spec{ID: "suite-1"})
		want(
			t, "mistyped", err, compute.ErrNotFound, "tiyn is not at the engine", "did you mean ", "tiny:latest",
			"? If not: pull or build it there",
		)
		_, err = mistyped.Probe(t.Context(), compute.Spec{})
		want(t, "mistyped, looked at", err, compute.ErrNotFound, "did you mean ", "tiny:latest")
		p, err := container.Open(
			t.Context(), nil,
			container.Options{Socket: d.socket, Source: "suite", Installation: "mine", Agent: finder(t)},
		)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Create(t.Context(), compute.Spec{ID: "suite-1"})
		want(t, "no image", err, compute.ErrInvalid, "image")
	})
}

// TestCancelled ends a command with its context: nothing of it is left.
func TestCancelled(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		p := open(t, d, container.Options{})
		create(t, p, "suite-1")
		conn, other := connect(t, p, "suite-1"), connect(t, p, "suite-1")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := conn.Run(ctx, &compute.Command{Args: []string{"sleep", "3986"}})
			ended <- err
		}()
		runs := "runs() { cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -q \"$1\"; }; "
		sh(t, other, runs+"until runs 'sleep 398[6]'; do :; done")
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
		sh(t, other, runs+"! runs 'sleep 398[6]'")
		go conn.Run(context.Background(), &compute.Command{Args: []string{"sleep", "3985"}})
		sh(t, other, runs+"until runs 'sleep 398[5]'; do :; done")
		conn.Close() // and with the connection its runs end
		sh(t, other, runs+"while runs 'sleep 398[5]'; do :; done")
	})
}
