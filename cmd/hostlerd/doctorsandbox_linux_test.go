package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/run/missingpaths"
)

// watchedMachine is one with files that sandboxes hide, and some that they show.
func watchedMachine(t *testing.T) *machine {
	m := shownMachine(t)
	m.program = lookIn(plainPath(t), "hostler")
	for _, name := range []string{
		".ssh/id_ed25519", ".aws/credentials", ".config/foo/conf", ".config/odd\x1b[31m\nname", "go/pkg/mod/shown",
		"project/shown", "own",
	} {
		file := filepath.Join(m.home, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("words\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../.ssh/id_ed25519", filepath.Join(m.work, "key")); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestDoctorSandbox: which hidden paths a command looked for is told, with the program, the call,
// the reason and what to do. For root here, and for an ordinary user by TestSandboxesOfSomebody.
func TestDoctorSandbox(t *testing.T) {
	sandboxes(t)
	m := watchedMachine(t)
	m.source("own", "type = sandbox\n[sandbox]\nhide = ~/own\nshow = ~/own2\n")
	const look = `for p in ~/.ssh/id_ed25519 ~/.aws/credentials ~/.config/foo/conf "$(printf "$HOME/.config/odd\033[31m\nname")" ~/go/pkg/mod/shown shown ~/absent key ~/own
do [ -e "$p" ]; done; [ -e ~/.config ]
cat ../.config/foo/conf; echo to-out; exit 7`
	out, errs, exit := m.run("doctor", "--sandbox", "-s", "own", "--json", "--", "sh", "-c", look)
	if exit != 7 || !strings.Contains(errs, "to-out") {
		t.Fatalf("status %d: %s", exit, errs)
	}
	var got missingpaths.Report
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: out = %s; want no error", err, out)
	}
	home := m.home + "/"
	want := map[string]missingpaths.Path{
		".ssh/id_ed25519":           {Cause: "secret", At: home + ".ssh"},
		".aws/credentials":          {Cause: "secret", At: home + ".aws"},
		"project/key":               {Cause: "secret", At: home + ".ssh", Place: home + ".ssh/id_ed25519"},
		"own":                       {Cause: "hidden", At: home + "own"},
		".config":                   {Cause: "unlisted", Line: "show = ~/.config"},
		".config/foo/conf":          {Cause: "unlisted", Line: "show = ~/.config/foo/conf"},
		".config/odd\x1b[31m\nname": {Cause: "unlisted", Line: "show = ~/.config"},
	}
	seen := map[string]bool{}
	for _, p := range got.Paths {
		name, ours := strings.CutPrefix(filepath.Clean(p.Path), home)
		w, ok := want[name]
		if !ours { // a library of the system's may miss something of this machine's
			t.Logf("also %+v", p)
			continue
		}
		if seen[name] = true; !ok || p.Cause != w.Cause || p.At != w.At || p.Line != w.Line ||
			p.Place != w.Place && name == "project/key" || p.Why == "" || p.Hint == "" {
			t.Errorf(
				"%q: p = %+v"+
					"; want ok and p.Cause == w.Cause and p.At == w.At and p.Line == w.Line and (p.Place == "+
					`w.Place or name != "project/key") and p.Why != "" and p.Hint != ""`,
				name, p,
			)
		}
		if !slices.ContainsFunc(p.Uses, func(u missingpaths.Use) bool {
			return (u.Call == "stat" || u.Call == "access" || u.Call == "open") && u.Program != "" && u.Times > 0
		}) {
			t.Errorf("%q: by %v", name, p.Uses)
		}
	}
	for name := range want {
		if !seen[name] {
			t.Errorf("%q is not told", name)
		}
	}
	if got.Line != "show = ~/own2, ~/.config/foo/conf" || got.Source != "own" {
		t.Errorf("the line for %s: %s", got.Source, got.Line)
	}

	m.source("own", "type = sandbox\n[sandbox]\n"+got.Line+"\n") // it does what it says
	out, errs, exit = m.run("doctor", "--sandbox", "-s", "own", "--", "cat", home+".config/foo/conf")
	if exit != 0 || out != "words\n" || strings.Contains(errs, "foo/conf") {
		t.Errorf("with the line: %d %q %s", exit, out, errs)
	}
	out, errs, _ = m.run("doctor", "--sandbox", "--", "sh", "-c", look)
	if out != "to-out\n" || strings.Contains(errs, "\x1b") || !strings.Contains(errs, `.config/odd\x1b[31m\nname`) ||
		!strings.Contains(errs, "to show   show = ~/.config/foo/conf\n") {
		t.Errorf("for people: %q\n%s", out, errs)
	}
}

// TestDoctorSandboxEnds: it ends as the command does, also when that cannot be started, and at once
// by Ctrl-C.
func TestDoctorSandboxEnds(t *testing.T) {
	sandboxes(t)
	m := watchedMachine(t)
	m.source("pictures", "type = sandbox\nimage = debian:12\n")
	m.source("mine", "type = local\n")
	m.source("both", "type = pool\nsources = sandbox, mine\n")
	m.source("wrong", "type = sandbox\n[sandbox]\nmemory = 3 apples\n")
	for _, test := range []struct {
		args string
		exit int
		says string
	}{
		{"doctor --sandbox", 125, "there is none"},
		{"doctor --sandbox --", 125, "there is none"},
		{"doctor --sandbox true", 125, "put -- before the command"},
		{"doctor --sandbox sandbox -- true", 125, "-s SOURCE"},
		{"doctor --sandbox -s mine -- true", 125, "hides nothing"},
		{"doctor --sandbox -s pictures -- true", 125, "hides nothing"},
		{"doctor --sandbox -s both -- true", 125, "hides nothing"},
		{"doctor --sandbox -s wrong -- true", 125, "3 apples"},
		{"doctor --sandbox -s nosuch -- true", 125, "nosuch"},
		{"doctor --sandbox -- no-such-command", 127, "command not found"},
		{"doctor --sandbox -- ./shown", 126, "cannot be run"},
		{"doctor --sandbox -- true", 0, "looked for nothing"},
	} {
		out, errs, exit := m.run(strings.Fields(test.args)...)
		if exit != test.exit || !strings.Contains(errs, test.says) {
			t.Errorf(
				"%s: exit = %d out = %q errs = %s"+
					"; want exit == test.exit and errs with test.says",
				test.args, exit, out, errs,
			)
		}
	}
	if out, errs, exit := m.run("doctor", "--sandbox", "--", "sh", "-c", "kill -KILL $PPID"); exit != 137 ||
		!strings.Contains(errs, "the watcher was ended") {
		t.Errorf("without a watcher: %d %q %s", exit, out, errs)
	}
	cmd, line, _ := m.start("doctor", "--sandbox", "--", "sh", "-c", `[ -e ~/.ssh/id_ed25519 ]; echo began; exec sleep 1000`)
	if line != "began" {
		t.Fatal(line)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if got := shellStatus(cmd.Wait()); got != 130 {
		t.Errorf("by Ctrl-C it ended with %d", got)
	}
}
