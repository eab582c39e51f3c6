package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary hostler and crcache when it is called by these names, so that the
// scripts run the real program.
func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); !slices.Contains(append(names(former), "hostler"), name) {
		if code, again := ownNetwork(); !again {
			os.Exit(code)
		}
	}
	program := func() { os.Exit(Main(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
	programs := map[string]func(){"hostler": program}
	for _, name := range names(former) {
		programs[name] = program
	}
	testscript.Main(labRunner{m}, programs)
}

// environment gives a script or a vector a home of its own; nothing of the user's is read or
// written.
func environment(t testing.TB, dir string) []string {
	t.Helper()
	for _, d := range []string{"home", "run", "work"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return []string{
		"HOME=" + filepath.Join(dir, "home"), "XDG_RUNTIME_DIR=" + filepath.Join(dir, "run"), "XDG_CONFIG_HOME=",
		"XDG_STATE_HOME=", "XDG_CACHE_HOME=",
		"HOSTLER_CONFIG=", "HOSTLER_LEASE=", "SHELL=/bin/sh",
	}
}

// TestScripts runs the scripts without a controller. Those that TestScriptsServed leaves out, as
// they ask none, find a socket that tells if they do.
func TestScripts(t *testing.T) {
	scripts(t, "testdata/script", false, func(env *testscript.Env) {
		if name := strings.TrimPrefix(filepath.Base(env.WorkDir), "script-"); slices.Contains(asksNone, name) {
			unasked(t, name, env)
		}
	})
}

// scripts runs those of a directory, each in a home of its own, in which prepare has been at work.
// served is a condition in them.
func scripts(t *testing.T, dir string, served bool, prepare func(env *testscript.Env)) {
	path := plainPath(t)
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			// Sockets have short names, and $WORK may be long.
			run, err := os.MkdirTemp("", "hostler")
			if err != nil {
				return err
			}
			env.Defer(func() { os.RemoveAll(run) })
			home := filepath.Join(env.WorkDir, "home")
			if err := os.MkdirAll(home, 0o700); err != nil {
				return err
			}
			for _, kv := range [][2]string{
				{"HOME", home}, {"XDG_RUNTIME_DIR", run}, {"SHELL", "/bin/sh"}, {"HOSTLER_LEASE", ""},
				{"HOSTLER_CONFIG", ""},
			} {
				env.Setenv(kv[0], kv[1])
			}
			for _, name := range []string{"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"} {
				env.Setenv(name, "")
			}
			env.Setenv("PATH", path)
			examples, err := filepath.Abs("../../docs/examples")
			if err != nil {
				return err
			}
			env.Setenv("EXAMPLES", examples)
			env.Defer(func() { stopKeeper(t, env.Vars) })
			prepare(env)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "served":
				return served, nil
			case "root":
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("there is no condition %q", cond)
		},
		Cmds: scriptCommands(),
	})
}

// stopKeeper ends the background process that a script may have started.
func stopKeeper(t testing.TB, env []string) {
	cmd := exec.Command("hostler", "keeper", "stop")
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("keeper stop: %v: %s", err, out)
	}
}

// lookIn finds a program as a shell with that PATH would.
func lookIn(path, name string) string {
	for _, dir := range filepath.SplitList(path) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && !info.IsDir() {
			return filepath.Join(dir, name)
		}
	}
	return name
}

// vectors are transcripts of crcache: its configuration files, command lines, output and exit
// statuses.
type vectors struct {
	Scenarios []struct {
		Files map[string]string `json:"files"` // by path; ~ is the home directory
		Steps []struct {
			Args   []string `json:"args"`
			Stdout string   `json:"stdout"`
			Exit   int      `json:"exit"`
		} `json:"steps"`
	} `json:"scenarios"`
}

// TestCrcache plays the transcripts to the program called crcache, byte for byte.
func TestCrcache(t *testing.T) {
	data, err := os.ReadFile("testdata/crcache.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	path := plainPath(t)
	for _, scenario := range v.Scenarios {
		t.Run("", func(t *testing.T) {
			dir := t.TempDir()
			env := append(append(os.Environ(), environment(t, dir)...), "PATH="+path)
			for name, text := range scenario.Files {
				file := filepath.Join(dir, "work", name)
				if rest, ok := cutHome(name); ok {
					file = filepath.Join(dir, "home", rest)
				}
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			// crcache believed every tree; hostler asks first.
			approve := exec.Command(lookIn(path, "hostler"), "trust", "approve", "--yes")
			approve.Dir, approve.Env = filepath.Join(dir, "work"), env
			if out, err := approve.CombinedOutput(); err != nil && !strings.Contains(string(out), "needs trust") {
				t.Fatalf(`%v: out = %s; want no error or string(out) with "needs trust"`, err, out)
			}
			for _, step := range scenario.Steps {
				cmd := exec.Command(lookIn(path, "crcache"), step.Args...)
				cmd.Dir, cmd.Env = filepath.Join(dir, "work"), env
				var errs errorText
				cmd.Stderr = &errs
				out, err := cmd.Output()
				if cmd.ProcessState == nil {
					t.Fatal(err)
				}
				if got := cmd.ProcessState.ExitCode(); got != step.Exit || string(out) != step.Stdout {
					t.Errorf(
						"crcache %q: exit %d, want %d\n got %q\nwant %q\nstderr %s", step.Args, got, step.Exit, out,
						step.Stdout, &errs,
					)
				}
			}
		})
	}
	if len(v.Scenarios) == 0 {
		t.Error("no transcripts")
	}
}
