//go:build linux

package container_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/remote/agent"
)

// daemon is an engine that the tests start, with all that it keeps in a directory of its own, and
// in a network name space of its own, so that its links and its firewall are its own too.
type daemon struct {
	name   string
	script string // run by sh: what starts it
	dir    string
	socket string

	once sync.Once
	skip string // why it cannot be had here
	cmd  *exec.Cmd
	// ends the daemon when this process dies: a test that takes too long is no reason to leave it
	// behind
	dies *exec.Cmd
	ends []int          // other processes of its own, that do not end with the one we started
	net  netns.NsHandle // where it is
}

var (
	place string // the directory of all this
	// the tarball of the lab's tiny root file system
	tiny string
	// the control group above docker's containers
	group  = fmt.Sprintf("hostler-container-%d", os.Getpid())
	docker = &daemon{name: "docker", script: `ip link set lo up && exec dockerd --data-root "$1/data" --exec-root ` +
		`"$1/run" -p "$1/pid" -H "unix://$2" ` +
		`--cgroup-parent "$3" --bip 10.213.7.1/24 --registry-mirror http://127.0.0.1:1`}
	podman = &daemon{name: "podman", script: `ip link set lo up && if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi &&
		export CONTAINERS_REGISTRIES_CONF="$1/registries.conf" CONTAINERS_CONF="$1/containers.conf" TMPDIR="$1" && exec podman --root "$1/data" --runroot "$1/run" --tmpdir "$1/tmp" --cgroup-manager=cgroupfs ` +
		`--events-backend=file system service --time=0 "unix://$2"`}
	// rootless is podman of an ordinary user, who maps nobody but himself: no limits where control
	// groups are not delegated.
	rootless = &daemon{name: "rootless", script: `ip link set lo up && if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi &&
		chown -R 65534:65534 "$1" && export CONTAINERS_CONF="$1/containers.conf" TMPDIR="$1" HOME="$1" XDG_RUNTIME_DIR="$1/run" &&
		mkdir "$1/run" "$1/socket"; chown 65534:65534 "$1/run" "$1/socket" &&
		exec setpriv --reuid 65534 --regid 65534 --clear-groups podman --cgroup-manager=cgroupfs --events-backend=file system service --time=0 "unix://$2"`}
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		for _, d := range []*daemon{docker, podman, rootless} {
			if d.cmd == nil {
				continue
			}
			if err := d.stop(syscall.SIGTERM); err != nil {
				fmt.Println(err)
				code = max(code, 1)
			}
			for _, left := range d.left() {
				fmt.Println("left behind:", left)
				code = max(code, 1)
			}
			d.net.Close()
		}
		// the engines' own, empty now
		for _, parent := range []string{group, "libpod_parent/conmon", "libpod_parent"} {
			dirs, _ := filepath.Glob("/sys/fs/cgroup/*/" + parent)
			for _, dir := range dirs {
				if place != "" {
					_ = os.Remove(dir)
				}
			}
		}
		if place != "" {
			if err := os.RemoveAll(place); err != nil {
				fmt.Println(err)
				code = max(code, 1)
			}
		}
		os.Exit(code)
	}))
}

// need starts a daemon at the first call; where it cannot be had, the test is skipped, or fails
// where labs are required.
func (d *daemon) need(t testing.TB) *daemon {
	t.Helper()
	d.once.Do(func() {
		d.skip = d.open(t)
	})
	if d.skip != "" {
		if os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
			t.Fatalf("%s is required: %s", d.name, d.skip)
		}
		t.Skipf("%s: %s", d.name, d.skip)
	}
	return d
}

func (d *daemon) open(t testing.TB) string {
	if os.Geteuid() != 0 {
		return "only root starts it"
	}
	for _, program := range []string{
		map[string]string{"docker": "dockerd", "podman": "podman", "rootless": "podman"}[d.name], "ip", "unshare",
		"setpriv",
	} {
		if _, err := exec.LookPath(program); err != nil {
			return err.Error()
		}
	}
	kv, err := computetest.Lab{Set: "container", Net: 63}.Try("base-rootfs", "tiny")
	if err != nil {
		return err.Error()
	}
	tiny = kv["tarball"]
	if place == "" {
		if place, err = os.MkdirTemp("/var/tmp", "hostler-container-*"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(place, 0o711); err != nil {
		t.Fatal(err)
	}
	d.dir, d.socket = filepath.Join(place, d.name), filepath.Join(place, d.name+".sock")
	if d == rootless {
		d.socket = filepath.Join(d.dir, "socket/podman.sock")
	}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"registries.conf": registries, "containers.conf": containers} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.start(); err != nil {
		return err.Error()
	}
	tar, err := os.Open(tiny)
	if err != nil {
		t.Fatal(err)
	}
	defer tar.Close()
	d.api(t, http.MethodPost, "/images/create?fromSrc=-&repo=tiny&tag=latest", tar)
	return ""
}

// registries makes podman take images by plain HTTP from this machine.
const registries = "unqualified-search-registries = [\"docker.io\"]\n[[registry]]\nlocation = \"127.0.0.1\"\ninsecure = true\n"

// containers lets podman forget an exec that has ended at once: it keeps two small processes for
// each, for 5 minutes.
const containers = "[engine]\nexit_command_delay = 0\n"

// start starts the program and waits until it answers.
func (d *daemon) start() error {
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	d.cmd = exec.Command("unshare", "--net", "--", "sh", "-c", d.script, "sh", d.dir, d.socket, group)
	if d != docker {
		d.cmd.Args = slices.Insert(d.cmd.Args, 1, "--mount", "--propagation", "slave")
	}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		_, err := d.request(http.MethodGet, "/_ping", nil)
		if err == nil {
			d.ends = d.processes()
			if d.net, err = netns.GetFromPid(d.cmd.Process.Pid); err == nil {
				err = d.watch()
			}
			return err
		}
		if syscall.Kill(d.cmd.Process.Pid, 0) != nil || time.Now().After(end) {
			_ = d.stop(syscall.SIGKILL)
			b, _ := os.ReadFile(log.Name())
			return fmt.Errorf("it does not answer: %w: %s", err, b[max(0, len(b)-1000):])
		}
	}
}

// watch starts what waits for our end, by a pipe that nobody writes to.
func (d *daemon) watch() error {
	d.dies = exec.Command("sh", "-c", `cat >/dev/null; kill "$@"`, "sh", strconv.Itoa(d.cmd.Process.Pid))
	for _, pid := range d.ends {
		d.dies.Args = append(d.dies.Args, strconv.Itoa(pid))
	}
	if _, err := d.dies.StdinPipe(); err != nil { // closed with this process, and by Wait
		return err
	}
	return d.dies.Start()
}

// processes finds the other ones of rootless podman: it starts itself again in a user name space,
// and keeps that by a process that waits.
func (d *daemon) processes() (pids []int) {
	if d != rootless {
		return nil
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range stats {
		b, _ := os.ReadFile(file)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if strings.HasPrefix(string(b), "podman\x00") && strings.Contains(string(b), d.socket) && pid != d.cmd.Process.Pid {
			pids = append(pids, pid)
		}
	}
	if b, err := os.ReadFile(filepath.Join(d.dir, "run/libpod/tmp/pause.pid")); err == nil {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stop ends the program and waits for its end.
func (d *daemon) stop(s syscall.Signal) error {
	if d.dies != nil { // before its pids can be others'
		_ = d.dies.Process.Kill()
		_ = d.dies.Wait()
		d.dies = nil
	}
	for _, pid := range d.ends { // before the one that we started, which would not see to it
		_ = syscall.Kill(pid, s)
	}
	if err := d.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- d.cmd.Wait() }()
	select {
	case <-done:
		return nil
	case <-time.After(time.Minute):
		_ = d.cmd.Process.Kill()
		<-done
		return fmt.Errorf("%s did not end within a minute", d.name)
	}
}

// left names what there is of containers in the daemon's places: processes, mounts, cgroups.
func (d *daemon) left() []string {
	var out []string
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		// Docker keeps its data root bind-mounted on itself while it runs.
		if f := strings.Fields(line); strings.HasPrefix(f[4], d.dir+"/") && f[4] != d.dir+"/data" &&
			!strings.HasSuffix(f[4], "/data/overlay") {
			out = append(out, "mount "+f[4])
		}
	}
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range procs {
		b, _ := os.ReadFile(file)
		text := strings.ReplaceAll(string(b), "\x00", " ")
		groups, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cgroup"))
		if d == rootless {
			groups = nil // not delegated
			if strings.HasPrefix(text, "/.hostler-agent ") {
				out = append(out, "process "+file+" "+text)
			}
		}
		within := strings.Contains(string(groups), "/"+group+"/") || strings.Contains(string(groups), "/libpod_parent/libpod-")
		if within || strings.Contains(text, d.dir) && (strings.Contains(text, "shim") || strings.Contains(text, "conmon")) {
			out = append(out, "process "+file+" "+text[:min(len(text), 150)])
		}
	}
	for _, glob := range []string{"/sys/fs/cgroup/*/" + group + "/*", "/sys/fs/cgroup/*/libpod_parent/libpod-*"} {
		dirs, _ := filepath.Glob(glob)
		for _, dir := range dirs {
			if fi, err := os.Stat(dir); err == nil && fi.IsDir() && filepath.Base(dir) != "libpod-conmon" {
				out = append(out, "cgroup "+dir)
			}
		}
	}
	return out
}

// request asks the daemon something past the provider.
func (d *daemon) request(method, path string, body io.Reader) ([]byte, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", d.socket)
	}}
	req, err := http.NewRequest(method, "http://engine/v1.41"+path, body)
	if path == "/_ping" {
		req, err = http.NewRequest(method, "http://engine"+path, body)
	}
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(path, "/images/create") || path == "/images/load" {
		req.Header.Set("Content-Type", "application/x-tar")
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 400 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	return b, err
}

func (d *daemon) api(t testing.TB, method, path string, body io.Reader) []byte {
	t.Helper()
	b, err := d.request(method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// make makes a container past the provider, and sees to its end.
func (d *daemon) make(t testing.TB, name string, body map[string]any) string {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ ID string }
	if err := json.Unmarshal(
		d.api(t, http.MethodPost, "/containers/create?name="+url.QueryEscape(name), strings.NewReader(string(text))),
		&made,
	); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = d.request(http.MethodDelete, "/containers/"+made.ID+"?force=1&v=1", nil) })
	return made.ID
}

// within does something in the daemon's network.
func (d *daemon) within(t testing.TB, do func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := netns.Set(d.net); err != nil {
			done <- err
			return
		}
		do()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

var program struct {
	once sync.Once
	path string
	err  error
}

// finder builds hostler-agent, once.
func finder(t testing.TB) agent.Finder {
	t.Helper()
	program.once.Do(func() {
		program.path = filepath.Join(place, "hostler-agent")
		cmd := exec.Command("go", "build", "-o", program.path, "../../cmd/hostler-agent")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			program.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return func(arch string) (agent.Program, error) {
		if arch != runtime.GOARCH {
			return agent.Program{}, errors.New("none for " + arch)
		}
		return agent.Program{Path: program.path}, nil
	}
}
