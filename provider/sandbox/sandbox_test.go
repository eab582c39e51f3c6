//go:build linux

package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/sandbox"
	"github.com/hostler-project/hostler/remote/agent"

	"github.com/hostler-project/hostler/image/registry"
)

// agentEnv names the program hostler-agent to those that the tests start.
const agentEnv = "HOSTLER_TEST_AGENT"

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds the agent as it is built for releases: without cgo, with which it cannot confine
// itself. It lies where ordinary users reach it.
func run(m *testing.M) int {
	if len(os.Args) == 2 && os.Args[1] == "id" { // as a set-uid program
		fmt.Println("euid", os.Geteuid())
		return 0
	}
	if len(os.Args) == 3 && os.Args[1] == "hold" { // the same, to be looked at from outside
		fmt.Println("held")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	}
	if text := os.Getenv(hostileEnv); text != "" {
		return hostile(text)
	}
	if text := os.Getenv(takeEnv); text != "" {
		return take(text)
	}
	if text := os.Getenv(poorEnv); text != "" {
		return poor(text)
	}
	if text := os.Getenv(crashEnv); text != "" {
		return crashing(text)
	}
	if os.Getenv(agentEnv) == "" {
		dir, err := os.MkdirTemp("", "hostler-agent-*")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "hostler-agent")
		cmd := exec.Command(
			"go", "build", "-trimpath", "-ldflags=-s -w", "-o", path,
			"github.com/hostler-project/hostler/cmd/hostler-agent",
		)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("%v: %s", err, out))
		}
		if err := errors.Join(os.Chmod(dir, 0o755), os.Setenv(agentEnv, path)); err != nil {
			panic(err)
		}
	}
	return m.Run()
}

// mine is the tests' installation, which no other run of them has at the same time.
func mine() string { return "test-" + filepath.Base(filepath.Dir(os.Getenv(agentEnv))) }

// built finds the agent that run built.
func built(string) (agent.Program, error) { return agent.Program{Path: os.Getenv(agentEnv)}, nil }

// nobody is an ordinary user, whom no system has.
const nobody = 12345

// asUser runs a test once more as an ordinary user, when we are root, and reports whether this is
// that run.
func asUser(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		return true
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// the way there has to be open
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "test")
	for _, step := range []func() error{
		func() error { return exec.CommandContext(t.Context(), "cp", path, program).Run() },
		func() error { return os.Mkdir(filepath.Join(dir, "home"), 0o700) },
		func() error { return os.Chown(filepath.Join(dir, "home"), nobody, nobody) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if t.Name() == "TestSetUIDAsUser" {
		su := filepath.Join(dir, "home", "su")
		if err := errors.Join(exec.CommandContext(t.Context(), "cp", path, su).Run(), os.Chmod(su, os.ModeSetuid|0o755)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = filepath.Join(dir, "home")
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir, "TMPDIR="+cmd.Dir, "USER=nobody")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := groupOutput(cmd)
	if err != nil {
		t.Errorf("as an ordinary user: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "SKIP") {
			t.Log(strings.TrimSpace(line))
		}
	}
	return false
}

func open(t testing.TB, o sandbox.Options) *sandbox.Provider {
	t.Helper()
	if o.Source == "" {
		o.Source, o.Installation = "suite", mine()
	}
	if o.Home == "" {
		o.Home = os.Getenv("HOME")
	}
	if o.Agent == nil {
		o.Agent = built
	}
	if o.Network == "" {
		o.Network = "none" // this machine's own is not touched
	}
	if o.Images == "" {
		o.Images = filepath.Join(o.Dir, "images")
	}
	o.Registry = registry.Client{}
	p, err := sandbox.Open(t.Context(), slog.New(slog.DiscardHandler), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// suite is the suite on the host's own root.
func suite(t *testing.T) {
	dir := t.TempDir()
	computetest.Provider(t, computetest.ProviderOptions{
		New: func(t *testing.T) compute.Provider { return open(t, sandbox.Options{Dir: dir}) },
		Foreign: func(t *testing.T) compute.Provider {
			return open(t, sandbox.Options{Dir: dir, Source: "suite", Installation: "theirs"})
		},
		Installation: mine(),
		Leak:         func() []string { return left(t, dir) },
	})
}

func TestProvider(t *testing.T) { suite(t) }

func TestProviderAsUser(t *testing.T) {
	if asUser(t) {
		suite(t)
	}
}

// conn is the suite on one sandbox.
func conn(t *testing.T) {
	p := open(t, sandbox.Options{Dir: t.TempDir()})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "conn"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Destroy(context.WithoutCancel(t.Context()), "conn"); err != nil {
			t.Error(err)
		}
	})
	computetest.Conn(t, computetest.ConnOptions{
		New: func(t *testing.T) compute.Conn {
			c, err := p.Connect(t.Context(), "conn")
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Dir: "/tmp", Shell: true,
	})
}

func TestConn(t *testing.T) { conn(t) }

func TestConnAsUser(t *testing.T) {
	if asUser(t) {
		conn(t)
	}
}

// left names what there is of sandboxes: mounts, processes, files.
func left(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir) {
			out = append(out, line)
		}
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range processes {
		words, err := os.ReadFile(name)
		// not another test's
		if err == nil && strings.HasPrefix(string(words), os.Getenv(agentEnv)+"\x00sandbox\x00") {
			out = append(out, name)
		}
	}
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && path != dir && path != filepath.Join(dir, "instances") {
			out = append(out, path)
		}
		return nil
	})
	return out
}
