package bundle_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/process"
)

// place is a computer that is a directory of this one: the record in it, and the files that bundles
// write. Commands run as who runs the test.
type place struct {
	*process.Conn
	dir string

	mu   sync.Mutex
	runs int
	fail func(n int, cmd *compute.Command) error // before the nth command from 1; may be nil
}

func newPlace(t testing.TB) *place {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("HOME", filepath.Join(dir, "home"))
	if err := os.Mkdir(filepath.Join(dir, "home"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := &place{Conn: process.New(process.Options{KeepEnv: true}), dir: dir}
	t.Cleanup(func() { _ = p.Conn.Close() })
	return p
}

func (p *place) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	p.mu.Lock()
	p.runs++
	n := p.runs
	fail := p.fail
	p.mu.Unlock()
	if fail != nil {
		if err := fail(n, cmd); err != nil {
			return compute.Exit{}, err
		}
	}
	return p.Conn.Run(ctx, cmd)
}

func (p *place) Close() error { return nil }

func (p *place) taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.runs
	p.runs = 0
	return n
}

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

func (p *place) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(p.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (p *place) apply(t *testing.T, pl *bundle.Plan, opt bundle.ApplyOptions) (*bundle.Result, error) {
	t.Helper()
	opt.As, opt.State = "self", p.path("state")
	return bundle.Apply(t.Context(), p, pl, opt)
}

// conf makes a set of bundles of the texts of their bundle.conf, as simple as these tests write
// them, and of their files.
func conf(t testing.TB, files map[string]string) bundle.Set {
	t.Helper()
	set := bundle.Set{}
	content := map[string]fstest.MapFS{}
	for name, text := range files {
		b, rest, _ := strings.Cut(name, "/")
		if content[b] == nil {
			content[b] = fstest.MapFS{}
		}
		content[b][rest] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	for b, fsys := range content {
		var entries []bundle.Entry
		section := ""
		for i, line := range strings.Split(files[b+"/bundle.conf"], "\n") {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "[") {
				section = strings.Trim(line, "[]")
			} else if k, v, ok := strings.Cut(line, "="); ok {
				entries = append(
					entries,
					bundle.Entry{
						Section: section, Key: strings.TrimSpace(k), Text: strings.TrimSpace(v),
						File: b + "/bundle.conf", Line: i + 1,
					},
				)
			}
		}
		set[b] = bundle.Parse(b, b+"/bundle.conf", entries, fsys)
	}
	return set
}

func plan(t *testing.T, set bundle.Set, opt bundle.PlanOptions, names ...string) *bundle.Plan {
	t.Helper()
	p, err := set.Plan(t.Context(), names, opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// actions is what became of the steps, in short.
func actions(r *bundle.Result) string {
	var out []string
	for _, o := range r.Outcomes {
		out = append(out, fmt.Sprintf("%s %s", filepath.Base(strings.Fields(o.Step.Name)[0]), o.Action))
	}
	return strings.Join(out, ", ")
}

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxQ me@here"

func TestApply(t *testing.T) {
	p := newPlace(t)
	set := conf(t, map[string]string{
		"base/bundle.conf":     "files = " + p.path("etc/base.conf"),
		"base/files/base.conf": "base\n",
		"web/bundle.conf": "include = base\nscripts = one.sh, two.sh\nfiles = " + p.path("etc/web/a b.conf") + ", " + p.path("etc/empty") + "\n[args]\nport = 80\n[file " +
			p.path("etc/web/a b.conf") + "]\nsource = web.conf\ntemplate = yes\nmode = 0640\n[script two.sh]\nwatch = " + p.path("etc/web/a b.conf"),
		"web/files/web.conf": "# provision-template-type: template-string\nlisten $port\n",
		"web/files/empty":    "",
		"web/pubkeys/me":     key + "\n",
		"web/scripts/one.sh": "#!/bin/sh\necho one $HOSTLER_ARG_PORT; echo bad >&2; echo x >>" + p.path("ones"),
		"web/scripts/two.sh": "echo x >>" + p.path("twos") + "\n",
	})
	pl := plan(t, set, bundle.PlanOptions{}, "web")
	r, err := p.apply(t, pl, bundle.ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := actions(r), "me@here done, base.conf done, a done, empty done, one.sh done, two.sh done"; got != want {
		t.Errorf("first: %s, want %s", got, want)
	}
	if o := r.Outcomes[4]; o.Stdout != "one 80\n" || o.Stderr != "bad\n" || o.Exit != 0 {
		t.Errorf("one.sh: %+v", o)
	}
	if got := p.read(t, "etc/web/a b.conf"); !strings.HasSuffix(got, "\nlisten 80\n") {
		t.Errorf("a b.conf is %q", got)
	}
	if info, err := os.Stat(p.path("etc/web/a b.conf")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("a b.conf: %v, %v", info.Mode(), err)
	}
	if got := p.read(t, "home/.ssh/authorized_keys"); got != key+"\n" {
		t.Errorf("authorized_keys is %q", got)
	}
	p.taken()
	if r, err = p.apply(t, pl, bundle.ApplyOptions{}); err != nil || r.Changed() != 0 {
		t.Errorf("second: %s, %v", actions(r), err)
	}
	if n := p.taken(); n != 1 {
		t.Errorf("nothing to do took %d commands", n)
	}

	// A file that somebody changed there is seen, and what watches it runs again.
	if err := os.WriteFile(p.path("etc/base.conf"), []byte("mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err = p.apply(t, pl, bundle.ApplyOptions{DryRun: true, Diff: true})
	if err != nil || r.Changed() != 1 || r.Outcomes[1].Why != "changed there by hand" {
		t.Errorf("dry run: %s, %v, %s", actions(r), err, r.Outcomes[1].Why)
	}
	if want := "@@ -1,1 +1,1 @@\n-mine\n+base\n"; !strings.HasSuffix(r.Outcomes[1].Diff, want) {
		t.Errorf("diff %q", r.Outcomes[1].Diff)
	}
	pl = plan(t, set, bundle.PlanOptions{Vars: []bundle.Var{{Name: "port", Value: "81"}}}, "web")
	r, err = p.apply(t, pl, bundle.ApplyOptions{Diff: true})
	if want := "@@ -1,1 +1,1 @@\n-mine\n+base\n"; !strings.HasSuffix(r.Outcomes[1].Diff, want) {
		t.Errorf("the diff of what was done is %q", r.Outcomes[1].Diff)
	}
	if got, want := actions(r), "me@here unchanged, base.conf done, a done, empty unchanged, one.sh done, two.sh done"; err != nil ||
		got != want {
		t.Errorf("other port: %s, want %s; %v", got, want, err)
	}
	if p.read(t, "etc/base.conf") != "base\n" || p.read(t, "ones") != "x\nx\n" || p.read(t, "twos") != "x\nx\n" {
		t.Error("not all was done again")
	}
	for _, left := range []string{"state/lock", "state/blob*", "state/stage/*", "state/run/*", "etc/.hostler*"} {
		if found, _ := filepath.Glob(p.path(left)); len(found) > 0 {
			t.Errorf("left behind: %v", found)
		}
	}
}

func TestResume(t *testing.T) {
	p := newPlace(t)
	set := conf(t, map[string]string{
		"b/bundle.conf":  "scripts = 1.sh, 2.sh, 3.sh",
		"b/scripts/1.sh": "echo x >>" + p.path("ones"),
		"b/scripts/2.sh": "#!/bin/sh\necho trying; [ -e " + p.path("go") + " ] || { echo not yet >&2; exit 3; }",
		"b/scripts/3.sh": "echo x >>" + p.path("threes"),
	})
	pl := plan(t, set, bundle.PlanOptions{}, "b")
	r, err := p.apply(t, pl, bundle.ApplyOptions{})
	if !errors.Is(err, compute.ErrFailed) || !strings.Contains(err.Error(), "bundle b: script 2.sh: status 3: not yet") {
		t.Errorf("error %v", err)
	}
	if got, want := actions(r), "1.sh done, 2.sh failed, 3.sh pending"; got != want {
		t.Errorf("first: %s, want %s", got, want)
	}
	if r.Outcomes[1].Exit != 3 || r.Outcomes[1].Stdout != "trying\n" {
		t.Errorf("2.sh: %+v", r.Outcomes[1])
	}
	if r, err = p.apply(t, pl, bundle.ApplyOptions{Continue: true}); err == nil || actions(r) != "1.sh unchanged, 2.sh failed, 3.sh done" {
		t.Errorf("going on: %s, %v", actions(r), err)
	}
	if err := os.WriteFile(p.path("go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if r, err = p.apply(t, pl, bundle.ApplyOptions{}); err != nil || actions(r) != "1.sh unchanged, 2.sh done, 3.sh unchanged" {
		t.Errorf("resumed: %s, %v", actions(r), err)
	}
	if p.read(t, "ones") != "x\n" || p.read(t, "threes") != "x\n" {
		t.Error("a script that had ended well ran again")
	}
}

func TestTimeout(t *testing.T) {
	p := newPlace(t)
	set := conf(t, map[string]string{
		"b/bundle.conf":     "scripts = hang.sh\ntimeout = 1s",
		"b/scripts/hang.sh": "echo begun\n(sleep 1000; touch " + p.path("late") + ") &\nsleep 1000\n",
	})
	r, err := p.apply(t, plan(t, set, bundle.PlanOptions{}, "b"), bundle.ApplyOptions{})
	if !errors.Is(err, compute.ErrTimeout) || !strings.Contains(err.Error(), "its time, 1s, was up: begun") {
		t.Errorf("error %v, %s", err, actions(r))
	}
}

func TestCancel(t *testing.T) {
	p := newPlace(t)
	set := conf(t, map[string]string{
		"b/bundle.conf":     "scripts = hang.sh",
		"b/scripts/hang.sh": "echo $$ >" + p.path("pid") + "\necho begun\nexec sleep 1000\n",
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun := writer(func(string) { cancel() })
	r, err := bundle.Apply(ctx, p, plan(t, set, bundle.PlanOptions{}, "b"), bundle.ApplyOptions{As: "self", State: p.path("state"),
		Output: func(*bundle.Step) (stdout, stderr io.Writer) { return begun, nil }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, %s", err, actions(r))
	}
	pid := strings.TrimSpace(p.read(t, "pid"))
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if state, err := os.ReadFile("/proc/" + pid + "/stat"); err != nil || strings.Contains(string(state), ") Z ") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("process %s of the script lives on", pid)
		}
	}
}

type writer func(string)

func (w writer) Write(p []byte) (int, error) { w(string(p)); return len(p), nil }
