package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hostler-project/hostler/compute/computetest/wayout"
)

// somebody is a user in no list.
const somebody = 54321

// TestSandboxes plays the scripts of sandboxes.
func TestSandboxes(t *testing.T) {
	path := plainPath(t)
	sandboxes(t)
	m := shownMachine(t)
	m.program = lookIn(path, "hostler")
	_, _, exit := m.run("run", "--memory", "64M", "--cores", "1", "sandbox", "--", "true")
	busybox, static := staticBusybox()
	conditions := map[string]bool{"limits": exit == 0, "root": os.Getuid() == 0, "busybox": static}
	commands := scriptCommands()
	commands["rootfs"] = func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 1 {
			ts.Fatalf("usage: rootfs DIR")
		}
		ts.Check(rootfs(ts.MkAbs(args[0]), busybox))
	}
	commands["oci"] = func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 2 {
			ts.Fatalf("usage: oci DIR ARCHIVE")
		}
		ts.Check(ociArchive(ts.MkAbs(args[0]), ts.MkAbs(args[1])))
	}
	commands["fetched"], commands["settled"] = fetched, settled
	commands["ended"], commands["unrecorded"], commands["free"] = ended, unrecorded, free
	testscript.Run(t, testscript.Params{
		Dir:         "testdata/sandbox",
		WorkdirRoot: shownDir(t),
		Setup: func(env *testscript.Env) error {
			run, err := socketDir()
			if err != nil {
				return err
			}
			home := filepath.Join(env.WorkDir, "you")
			env.Cd = filepath.Join(home, "project")
			if err := os.MkdirAll(env.Cd, 0o700); err != nil {
				return err
			}
			for _, name := range []string{"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "HOSTLER_LEASE", "HOSTLER_CONFIG"} {
				env.Setenv(name, "")
			}
			for _, kv := range [][2]string{
				{"HOME", home}, {"XDG_RUNTIME_DIR", run}, {"SHELL", "/bin/sh"}, {"PATH", path}, {"WAYS", wayout.Lines()},
			} {
				env.Setenv(kv[0], kv[1])
			}
			env.Defer(func() {
				discardAll(t, env.Vars)
				stopKeeper(t, env.Vars)
				os.RemoveAll(run)
			})
			return nil
		},
		Condition: func(name string) (bool, error) {
			is, known := conditions[name]
			if !known {
				return false, fmt.Errorf("unknown condition %s", name)
			}
			return is, nil
		},
		Cmds: commands,
	})
}

// fetched ADDRESS gets http://ADDRESS/ and prints it; whoever is to answer may still be starting.
func fetched(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fetched ADDRESS")
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	var last error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		resp, err := client.Get("http://" + args[0] + "/")
		if err == nil {
			_, err = io.Copy(ts.Stdout(), resp.Body)
			resp.Body.Close()
		}
		if last = err; err == nil {
			return
		}
	}
	ts.Fatalf("%s: %v", args[0], last)
}

// again runs a command line until what it prints will do.
func again(ts *testscript.TestScript, what string, ok func(out string) bool, args ...string) {
	for end := time.Now().Add(2 * patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		ts.Check(ts.Exec(args[0], args[1:]...))
		if ok(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("%s: not after %v: %s", what, 2*patience, ts.ReadFile("stdout"))
}

// ended STATUS COMMAND... waits until what COMMAND shows of a run says that it has ended with
// STATUS.
func ended(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: ended STATUS COMMAND...")
	}
	want := regexp.MustCompile(`(?m)^end +` + args[0] + `\b`)
	again(ts, "the run's end", want.MatchString, args[1:]...)
}

// free SOURCE N waits until so many of a source are in use.
func free(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: free SOURCE N")
	}
	again(
		ts, "its release", func(out string) bool { return strings.TrimSpace(out) == args[1] }, "hostler", "status",
		args[0], "--query", "in-use",
	)
}

// unrecorded FILE kills the recorder of the run whose id is in a file, as soon as it is at work.
func unrecorded(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: unrecorded FILE")
	}
	id := strings.TrimSpace(ts.ReadFile(args[0]))
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, file := range all {
			b, err := os.ReadFile(file)
			if err != nil || !strings.HasSuffix(string(b), "\x00recorder\x00"+id+"\x00") {
				continue
			}
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			ts.Check(syscall.Kill(pid, syscall.SIGKILL))
			for alive(strconv.Itoa(pid)) {
				time.Sleep(time.Millisecond)
			}
			return
		}
	}
	ts.Fatalf("%s has no recorder", id)
}

// settled SOURCE waits until nothing of a source is being made, cleaned or discarded.
func settled(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: settled SOURCE")
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		ts.Check(ts.Exec("hostler", "status", args[0]))
		if !strings.Contains(ts.ReadFile("stdout"), "being") {
			return
		}
	}
	ts.Fatalf("%s does not settle", args[0])
}

// TestSandboxesOfSomebody plays the same scripts as an ordinary user, if we are root.
func TestSandboxesOfSomebody(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestSandboxesOfSomebody: only root can be somebody else")
	}
	programs, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	dir := shownDir(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "tests")
	if err := errors.Join(copyFile(self, binary, 0o755), os.Chown(dir, somebody, somebody)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-test.run=^(TestSandboxes|TestReadme|TestDoctorSandbox|TestDoctorSandboxEnds)$", "-test.v")
	cmd.Env = append(os.Environ(), shownRoot+"="+dir, "HOSTLER_TEST_PROGRAMS="+programs, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: somebody, Gid: somebody}, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("err = %v\nout = %s", err, out)
	case strings.Contains(string(out), "--- SKIP: TestSandboxes ("):
		t.Skipf("TestSandboxesOfSomebody: %s", out)
	}
}

// staticBusybox finds a busybox that needs no library.
var staticBusybox = sync.OnceValues(func() (string, bool) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return "", false
	}
	f, err := elf.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return "", false
		}
	}
	return path, true
})

// rootfs makes a small root file system.
func rootfs(dir, busybox string) error {
	for _, d := range []string{"bin", "etc", "home/app", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	errs := []error{
		copyFile(busybox, filepath.Join(dir, "bin", "busybox"), 0o755),
		os.WriteFile(filepath.Join(dir, "etc", "passwd"), []byte("root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "etc", "made"), []byte("by a test\n"), 0o644),
	}
	for _, name := range []string{"sh", "cat", "echo", "id", "ls", "rm", "touch", "true"} {
		errs = append(errs, os.Symlink("busybox", filepath.Join(dir, "bin", name)))
	}
	return errors.Join(errs...)
}
