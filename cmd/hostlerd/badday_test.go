package main

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/host/program"
)

// machine is a home of its own to run the real program in.
type machine struct {
	t       testing.TB
	dir     string
	env     []string
	program string // "": the test binary as hostler
	uid     int    // 0: ours
	home    string
	work    string // where its commands are started
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "hostler") // sockets have short names, and t.TempDir's may be long
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{
		t: t, dir: dir, env: append(os.Environ(), environment(t, dir)...), home: filepath.Join(dir, "home"),
		work: filepath.Join(dir, "work"),
	}
	t.Cleanup(func() {
		stopKeeper(t, m.env)
		os.RemoveAll(dir)
	})
	return m
}

func (m *machine) state() string { return filepath.Join(m.home, ".local", "state", "hostler") }

// source configures one.
func (m *machine) source(name, text string) {
	m.t.Helper()
	dir := filepath.Join(m.home, ".config", "hostler", "sources", name)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "source.conf"), []byte(text), 0o644)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) command(args ...string) *exec.Cmd {
	cmd := exec.Command(cmp.Or(m.program, "hostler"), args...)
	cmd.Dir, cmd.Env = m.work, m.env
	if m.uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(m.uid), Gid: uint32(m.uid)}}
	}
	return cmd
}

// asNobody gives the machine to a user without any rights, if we are root.
func (m *machine) asNobody() {
	m.t.Helper()
	m.as(65534)
}

// as gives the machine to a user, if we are root.
func (m *machine) as(uid int) {
	m.t.Helper()
	if os.Getuid() != 0 {
		return
	}
	path, err := exec.LookPath(cmp.Or(m.program, "hostler"))
	if err != nil {
		m.t.Fatal(err)
	}
	m.program, m.uid = filepath.Join(m.dir, "hostler"), uid
	if err := copyFile(path, m.program, 0o755); err != nil {
		m.t.Fatal(err)
	}
	err = copyFile(filepath.Join(filepath.Dir(path), program.Whole), filepath.Join(m.dir, program.Whole), 0o755)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // the tests' own program is the whole one
		m.t.Fatal(err)
	}
	err = filepath.WalkDir(m.dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, uid, uid))
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// run runs hostler and returns what it printed and its exit status.
func (m *machine) run(args ...string) (out, errs string, exit int) {
	m.t.Helper()
	cmd := m.command(args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		m.t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// must runs hostler, which must succeed, and returns what it printed.
func (m *machine) must(args ...string) string {
	m.t.Helper()
	out, errs, exit := m.run(args...)
	if exit != 0 {
		m.t.Fatalf("hostler %q: exit status %d\n%s%s", args, exit, out, errs)
	}
	return out
}

// TestUnreadableState takes the state directory's permissions away. Root may read everything, so as
// root the program is run as nobody.
func TestUnreadableState(t *testing.T) {
	m := newMachine(t)
	m.asNobody()
	m.must("status")
	if err := os.Chmod(m.state(), 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(m.state(), 0o700)
	m.said("permission denied", "status")
	m.said("permission denied", "acquire", "-s", "local")
}

// said runs hostler, which must fail with a text that names the state and a hint.
func (m *machine) said(want string, args ...string) string {
	m.t.Helper()
	_, errs, exit := m.run(args...)
	if exit == 0 || !strings.Contains(errs, want) || !strings.Contains(errs, "state") || strings.Count(errs, "\n") > 3 {
		m.t.Errorf("hostler %q: exit status %d, and it said %q", args, exit, errs)
	}
	return errs
}

func TestReadOnlyState(t *testing.T) {
	m := newMachine(t)
	if err := os.MkdirAll(m.state(), 0o700); err != nil {
		t.Fatal(err)
	}
	mountTmpfs(t, m.state(), "64m", true)
	m.said("read-only", "status")
	m.said("read-only", "acquire", "-s", "local")
	_, errs, exit := m.run("run", "local", "--", "touch", filepath.Join(m.dir, "ran"))
	if exit != term.ExitNotBegun || !strings.Contains(errs, "read-only") {
		t.Errorf("run: exit status %d, %q", exit, errs)
	}
	if _, err := os.Stat(filepath.Join(m.dir, "ran")); err == nil {
		t.Error("the command ran")
	}
}

// TestFullDisk fills the disk under the state: it is said, nothing is handed out twice, and all is
// well again when there is room.
func TestFullDisk(t *testing.T) {
	m := newMachine(t)
	m.source("web", "type = fake\nmaximum = 3\n[fake]\nstate = memory\n")
	if err := os.MkdirAll(m.state(), 0o700); err != nil {
		t.Fatal(err)
	}
	mountTmpfs(t, m.state(), "2m", false)
	first := strings.TrimSpace(m.must("acquire", "-s", "local"))
	ballast := filepath.Join(m.state(), "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	f.Close()
	for range 3 {
		out, errs, exit := m.run("release", first)
		if exit == 0 {
			t.Log("there was room for the release in the log that is there")
			break
		}
		if !strings.Contains(errs, "full") && !strings.Contains(errs, "no space") {
			t.Errorf("release on a full disk: exit status %d, %q %q", exit, out, errs)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	m.must("release", first)
	if got := strings.TrimSpace(m.must("acquire", "-s", "local")); got != first {
		t.Errorf("acquired %q, want %q", got, first)
	}
	m.must("release", "--all")
}

// TestReleaseOfOthers gives back what is another's.
func TestReleaseOfOthers(t *testing.T) {
	m := newMachine(t)
	m.source("web", "type = fake\nmaximum = 1\n")
	m.source("pool", "type = pool\nsources = web\n")
	m.must("acquire", "-s", "pool")
	_, errs, exit := m.run("release", "web-1")
	if exit != 7 || !strings.Contains(errs, "pool-web-1") {
		t.Errorf("release of what a pool has: exit status %d, %q", exit, errs)
	}
	// One bad name among good ones: nothing changes.
	if _, errs, exit := m.run("release", "pool-web-1", "pool-web-2"); exit != 5 {
		t.Errorf("release of one that is and one that is not: exit status %d, %q", exit, errs)
	}
	if got := m.must("status", "pool", "--query", "in-use"); got != "1\n" {
		t.Errorf("in use: %q", got)
	}
	m.must("release", "pool-web-1")
	m.must("release", "pool-web-1") // had it, and it has ended
	if _, _, exit := m.run("release", "pool-web-7"); exit != 5 {
		t.Errorf("release of what never was: exit status %d", exit)
	}
}

// TestAtOnce runs acquires and releases of many processes on one state.
func TestAtOnce(t *testing.T) {
	m := newMachine(t)
	m.program = lookIn(plainPath(t), "hostler")
	m.source("web", "type = fake\nmaximum = 3\nreserve = 3\n")
	var mu sync.Mutex
	holders := map[string]int{}
	var all sync.WaitGroup
	for n := range 12 {
		all.Go(func() {
			for range 3 {
				out, errs, exit := m.run("acquire", "-s", "web", "--wait", "2m")
				name := strings.TrimSpace(out)
				if exit != 0 {
					t.Errorf("acquire: exit status %d, %s", exit, errs)
					return
				}
				mu.Lock()
				if by, taken := holders[name]; taken {
					t.Errorf("%s was given to %d and %d at once", name, by, n)
				}
				holders[name] = n
				mu.Unlock()
				mu.Lock()
				delete(holders, name)
				mu.Unlock()
				if _, errs, exit := m.run("release", name); exit != 0 {
					t.Errorf("release: exit status %d, %s", exit, errs)
				}
			}
		})
	}
	all.Wait()
	if out := m.must("status", "web"); !strings.Contains(out, "web     3       0       3") {
		t.Errorf("afterwards:\n%s", out)
	}
	// Two releases of the same at once: both are well, and one of them did it.
	name := strings.TrimSpace(m.must("acquire", "-s", "web"))
	for range 2 {
		all.Go(func() {
			if _, errs, exit := m.run("release", name); exit != 0 {
				t.Errorf("release twice: exit status %d, %s", exit, errs)
			}
		})
	}
	all.Wait()
	released := 0
	for line := range strings.Lines(m.must("events", name, "--json")) {
		if strings.Contains(line, `"kind":"released"`) {
			released++
		}
	}
	given := strings.Count(m.must("events", name, "--json"), `"kind":"leased"`)
	if released != given {
		t.Errorf("%s was leased %d times and released %d times", name, given, released)
	}
}
