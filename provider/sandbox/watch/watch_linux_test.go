//go:build amd64 || arm64

package watch

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestMain is the program itself when it is told so.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Word {
		os.Exit(Main(os.Args[2:]))
	}
	if len(os.Args) > 2 && os.Args[1] == "beside" {
		if dir, err := os.OpenRoot(os.Args[2]); err == nil {
			_, _ = dir.Stat("beside")
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// run watches a script in a directory, and returns what was looked for there: paths with their
// places and uses.
func run(t *testing.T, dir, script string) (map[string]Lookup, *os.ProcessState) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report")
	cmd := exec.Command("/proc/self/exe", Word, file, "--", "sh", "-c", script)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	_ = cmd.Run()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Lookup{}
	for _, l := range r.Lookups {
		if rest, ok := strings.CutPrefix(string(l.Path), dir+"/"); ok {
			out[rest] = l
		}
	}
	return out, cmd.ProcessState
}

// TestWatch: what is looked for in vain is written down, relative paths, links and odd bytes too;
// what is there, or is made, is not.
func TestWatch(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	got, state := run(t, dir, `mkdir there empty; echo x >there/file; '`+self+`' beside there; cat there/file >made; ln -s nowhere/deep link; cat link absent; ls empty there
cd there; cat ../up/file; cat "$(printf 'odd\033[31m\nname')"; ./tool; [ -e probe ]; exit 3`)
	if state.ExitCode() != 3 {
		t.Errorf("it ended with %v", state)
	}
	for name, want := range map[string]struct{ place, call, program string }{
		"absent":                  {"absent", "open", "cat"},
		"link":                    {"nowhere/deep", "open", "cat"},
		"there/../up/file":        {"up/file", "open", "cat"},
		"there/odd\x1b[31m\nname": {"there/odd\x1b[31m\nname", "open", "cat"},
		"there/tool":              {"there/tool", "exec", "sh"},
		"there/probe":             {"there/probe", "stat access", "sh"},
		"empty":                   {"empty", "open", "ls"},
	} {
		l, ok := got[name]
		if !ok {
			t.Errorf("%q is not in it", name)
			continue
		}
		if string(l.Place) != filepath.Join(dir, want.place) || l.Empty != (name == "empty") {
			t.Errorf("%q leads to %q, empty %v", name, l.Place, l.Empty)
		}
		found := false
		for _, u := range l.Uses {
			sh, err := filepath.EvalSymlinks("/bin/sh")
			program := filepath.Base(u.Program)
			found = found ||
				strings.Contains(want.call, u.Call) &&
					(program == want.program || want.program == "sh" && err == nil && program == filepath.Base(sh))
		}
		if !found {
			t.Errorf("%q: l.Uses = %v; want found", name, l.Uses)
		}
	}
	for _, name := range []string{"there", "there/file", "made"} {
		if l, ok := got[name]; ok {
			t.Errorf("%q was there: %v", name, l.Uses)
		}
	}
}

// TestStatus: it ends as the command does, by a signal too, and with a shell's statuses where that
// cannot be started.
func TestStatus(t *testing.T) {
	_, state := run(t, t.TempDir(), `kill -QUIT $$`)
	if ws := state.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != syscall.SIGQUIT {
		t.Errorf("it ended with %v", state)
	}
	file := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"no-such-command-x": notFound, "/no/such": notFound, file: notExec} {
		cmd := exec.Command("/proc/self/exe", Word, filepath.Join(t.TempDir(), "report"), "--", name)
		_ = cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}
