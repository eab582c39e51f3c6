package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// containerEngine starts a Docker for the test, without a network of its own, and gives it the
// lab's tiny root as the image tiny. It returns its socket.
func containerEngine(t *testing.T) string {
	t.Helper()
	tiny := lab(t, "base-rootfs", "tiny")["tarball"]
	tool(t, "dockerd")
	// on a disk: overlay on overlay is refused
	dir, err := os.MkdirTemp("/var/tmp", "hostler-docker-")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	logFile, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer logFile.Close()
	// It ends with its standard input, which nobody writes to: also when this process is killed.
	group := fmt.Sprintf("hostler-cmd-%d", os.Getpid())
	cmd := exec.Command("sh", "-c", `dockerd --data-root "$1/data" --exec-root "$1/run" -p "$1/pid" -H "unix://$1/s" --cgroup-parent "$2" --bridge none --iptables=false \
		--ip-forward=false --ip-masq=false </dev/null & exec 3<&0; d=$!; cat <&3 >/dev/null; kill $d; wait $d`, "sh", dir, group)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	alive, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _,
		_ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	t.Cleanup(func() {
		_ = alive.Close()
		_ = cmd.Wait()
		groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + group)
		for _, g := range groups {
			_ = os.Remove(g)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for late := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		resp, err := client.Get("http://engine/_ping")
		if err == nil {
			resp.Body.Close()
			break
		}
		if syscall.Kill(cmd.Process.Pid, 0) != nil || time.Now().After(late) {
			said, _ := os.ReadFile(logFile.Name())
			t.Fatalf("dockerd does not answer: %v\n%s", err, said[max(0, len(said)-2000):])
		}
	}
	f, err := os.Open(tiny)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	resp, err := client.Post("http://engine/v1.41/images/create?fromSrc=-&repo=tiny&tag=latest", "application/x-tar", f)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if said, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("tiny: %s %s %v", resp.Status, said, err)
	}
	return socket
}

// TestContainerImages builds images of a container, has sources come from them, and takes one by a
// registry to another machine and to another engine's name.
func TestContainerImages(t *testing.T) {
	socket := containerEngine(t)
	hub := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(hub.Close)
	far := strings.TrimPrefix(hub.URL, "http://") + "/team/web:2"

	m := newMachine(t)
	m.env = append(m.env, "PATH="+plainPath(t), "DOCKER_HOST=unix://"+socket)
	engine := "network = none\nsocket = " + socket + "\n"
	m.source("auto", "type = container\nbundles = tool\nbuild = yes\n[container]\nimage = tiny\npull = never\n"+engine)
	m.source("warm", "type = container\nreserve = 1\n[container]\nimage = tiny\npull = never\n"+engine)
	m.source("pulled", "type = container\n[container]\nimage = "+far+"\n"+engine)
	m.bundle("tool", map[string]string{
		"bundle.conf":     "scripts = make.sh\n[args]\nword = one\n",
		"scripts/make.sh": "echo made with $HOSTLER_ARG_WORD; echo $HOSTLER_ARG_WORD >/etc/made\n",
	})
	t.Cleanup(func() { // what stands ready, before the engine goes
		for _, source := range []string{"auto", "warm", "pulled", "warm-bind"} {
			for _, id := range m.computers(source) {
				_, _, _ = m.run("discard", id)
			}
		}
	})

	// A source that builds by itself: the first instance has it done, the second is made from it.
	if got := m.must("run", "auto", "--", "cat", "/etc/made"); got != "one\n" {
		t.Errorf("in the first: %q", got)
	}
	logs := filepath.Join(m.state(), "instances", "auto", "log")
	if said, err := os.ReadFile(filepath.Join(logs, "auto-1.log")); err != nil ||
		!strings.Contains(string(said), "== image: bundle tool: script make.sh\nmade with one\n") {
		t.Errorf("the log of the first: %q, %v", said, err)
	}
	if got := m.must("run", "auto", "--", "cat", "/etc/made"); got != "one\n" {
		t.Errorf("in the second: %q", got)
	}
	if said, _ := os.ReadFile(filepath.Join(logs, "auto-2.log")); strings.Contains(string(said), "made") {
		t.Errorf("the script ran again for the second: %q", said)
	}

	// One is promoted, and what stands ready is replaced; and back.
	m.must("image", "build", "-s", "auto", "-t", "word=two", "web:2")
	m.must("fill", "warm")
	made := func(when, want string) {
		t.Helper()
		name := strings.TrimSpace(m.must("acquire", "-s", "warm"))
		if got := m.must("run", name, "--", "sh", "-c", "cat /etc/made 2>/dev/null || echo none"); got != want+"\n" {
			t.Errorf("%s: %q, want %s", when, got, want)
		}
		m.must("release", "--wait", name) // so that it stands ready when the next is promoted
	}
	made("before", "none")
	m.must("image", "promote", "web:2", "-s", "warm")
	made("promoted", "two")
	m.must("image", "promote", "--back", "-s", "warm")
	made("back again", "none")

	// The tree itself, mounted.
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "file"), []byte("mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := m.must(
		"-C", tree, "run", "warm", "--sync=dir", "--bind", "--", "sh", "-c", "cat file; pwd; echo new >made",
	); got != "mine\n"+tree+"\n" {
		t.Errorf("in the tree: %q", got)
	}
	if got, err := os.ReadFile(filepath.Join(tree, "made")); err != nil || string(got) != "new\n" {
		t.Errorf("what was written in the tree: %q, %v", got, err)
	}
	if out, _, exit := m.run(
		"-C", tree, "run", "warm", "--sync=dir", "--bind=ro", "--", "sh", "-c", "cat made; echo no >made || exit 7",
	); exit != 7 || out != "new\n" {
		t.Errorf("in the tree, to be read: %q, %d", out, exit)
	}

	// From the engine to a registry, and from there to the sandboxes of another machine, and to the
	// engine under the registry's name.
	m.must("image", "pull", "docker-daemon:web:2")
	m.must("image", "export", "docker-daemon:web:2", far)
	if got := m.must("run", "pulled", "--", "cat", "/etc/made"); got != "two\n" {
		t.Errorf("pulled by the engine: %q", got)
	}
	other := newMachine(t)
	other.env = append(other.env, "PATH="+plainPath(t))
	other.source("box", "type = sandbox\n[sandbox]\nimage = "+far+"\nnetwork = none\n")
	if got := other.must("acquire", "-s", "box"); got != "box-1\n" {
		t.Errorf("acquired %q", got)
	}
	if got := other.must("run", "box-1", "--", "cat", "/etc/made"); got != "two\n" {
		t.Errorf("in a sandbox of another machine: %q", got)
	}
	other.must("release", "--wait", "box-1")
}
