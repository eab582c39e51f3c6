package bundle_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/compute"
)

// TestTexts runs scripts of every kind of text as they are, all in two commands.
func TestTexts(t *testing.T) {
	p := newPlace(t)
	long := strings.Repeat("# "+strings.Repeat("x", 78)+"\n", 400)
	texts := []string{
		"echo plain", "printf '%s\\n' 'a\\tb  c'\n\n  echo \" $HOSTLER_ARG_LINES \"\n",
		"#!/bin/sh -e\nfalse\necho not reached\n", "", "\n", "cat <<'x'\n%s %d \\\nx", "echo n\xc3\xa9\xff\r\n",
		"exit 7\n# no end",
		long + "echo long", "echo nul\nexit 0\n\x00\x01", "case $0 in */11-10.sh) echo named;; *) echo $0;; esac",
		"#!/no/such/interpreter\n", "echo end >&2",
	}
	want := []string{
		"plain\n", "a\\tb  c\n one\n'two' \n", "", "", "", "%s %d \\\n", "n\xc3\xa9\xff\r\n", "", "long\n", "nul\n",
		"named\n", "", "",
	}
	files, names := map[string]string{}, []string{}
	for i, text := range texts {
		names = append(names, fmt.Sprintf("%d.sh", i))
		files["b/scripts/"+names[i]] = text
	}
	files["b/bundle.conf"] = "on-error = continue\nscripts = " + strings.Join(names, ",") + "\n[args]\nlines = required"
	pl := plan(t, conf(t, files), bundle.PlanOptions{Vars: []bundle.Var{{Name: "lines", Value: "one\n'two'"}}}, "b")
	r, err := p.apply(t, pl, bundle.ApplyOptions{Due: true})
	if err == nil || len(r.Outcomes) != len(want) {
		t.Fatalf("actions(r) = %s, err = %v; want an error and len(r.Outcomes) == len(want)", actions(r), err)
	}
	for i, o := range r.Outcomes {
		if o.Stdout != want[i] {
			t.Errorf("%q printed %q", texts[i], o.Stdout)
		}
		if failed := i == 2 || i == 7 || i == 11; failed != (o.Action == bundle.Failed) {
			t.Errorf(
				"texts[i] = %q o.Action = %s: o.Err = %v, o.Stderr = %s"+
					"; want failed == (o.Action == bundle.Failed)",
				texts[i], o.Action, o.Err, o.Stderr,
			)
		}
	}
	if r.Outcomes[7].Exit != 7 || r.Outcomes[12].Stderr != "end\n" {
		t.Errorf(
			"r.Outcomes[7] = %+v, r.Outcomes[12] = %+v"+
				"; want r.Outcomes[7].Exit == 7 and r.Outcomes[12].Stderr == \"end\\n\"",
			r.Outcomes[7], r.Outcomes[12],
		)
	}
	if n := p.taken(); n != 4 { // the lock, the two large or binary ones, and all scripts
		t.Errorf("it took %d commands", n)
	}
	for _, left := range []string{"state/text-*", "state/run/*/s", "state/run/*/pid", "state/lock*"} {
		if found, _ := filepath.Glob(p.path(left)); len(found) > 0 {
			t.Errorf("left behind: %v", found)
		}
	}
}

// What a script leaves running stays, and neither it nor what it prints is waited for.
func TestBackground(t *testing.T) {
	p := newPlace(t)
	set := conf(t, map[string]string{
		"b/bundle.conf":  "scripts = 1.sh, 2.sh",
		"b/scripts/1.sh": "(until [ -e " + p.path("go") + " ]; do sleep 1; done; touch " + p.path("came") + ") &\necho begun\n",
		"b/scripts/2.sh": "echo second",
	})
	r, err := p.apply(t, plan(t, set, bundle.PlanOptions{}, "b"), bundle.ApplyOptions{})
	if err != nil || r.Outcomes[0].Stdout != "begun\n" || r.Outcomes[1].Stdout != "second\n" {
		t.Errorf(
			"r.Outcomes = %+v, err = %v"+
				"; want no error and r.Outcomes[0].Stdout == \"begun\\n\" and r.Outcomes[1].Stdout == \"second\\n\"",
			r.Outcomes, err,
		)
	}
	if err := os.WriteFile(p.path("go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	until(t, "what runs in the background ends well", func() bool { _, err := os.Stat(p.path("came")); return err == nil })
}

// until waits for something that is sure to come.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not in a minute", what)
		}
	}
}

// A script of which contact is lost, and that nobody comes back for, is ended there when its time
// is up, and no other one is begun.
func TestOrphan(t *testing.T) {
	p := newPlace(t)
	set := conf(t, map[string]string{
		"b/bundle.conf":     "scripts = hang.sh, 2.sh\ntimeout = 2s",
		"b/scripts/hang.sh": "echo begun\nexec sleep 1000\n",
		"b/scripts/2.sh":    "touch " + p.path("second"),
	})
	pl := plan(t, set, bundle.PlanOptions{}, "b")
	b := &breaking{place: p, word: "begun\n", ended: make(chan struct{})}
	r, err := bundle.Apply(t.Context(), b, pl, bundle.ApplyOptions{As: "self", State: p.path("state")})
	if !errors.Is(err, compute.ErrLost) {
		t.Errorf("actions(r) = %s, err = %v; want error compute.ErrLost", actions(r), err)
	}
	<-b.ended
	r, err = p.apply(t, pl, bundle.ApplyOptions{DryRun: true})
	if err != nil || r.Outcomes[0].Why != "its time was up when it last ran" || r.Outcomes[1].Action != bundle.Pending {
		t.Errorf("then: %+v, %v", r.Outcomes, err)
	}
	if _, err := os.Stat(p.path("second")); err == nil {
		t.Error("the next script ran with nobody there")
	}
}

// Another process finds a script at work that the first one left, waits for it and has its output,
// and nothing of those before.
func TestTakeOver(t *testing.T) {
	p := newPlace(t)
	set := conf(t, map[string]string{
		"b/bundle.conf":  "scripts = 0.sh, 1.sh, 2.sh",
		"b/scripts/0.sh": "echo zero; echo error >&2",
		"b/scripts/1.sh": "echo begun\nuntil [ -e " + p.path("go") + " ]; do sleep 1; done\necho x >>" + p.path("ones") + "\necho done >&2",
		"b/scripts/2.sh": "echo two",
	})
	pl := plan(t, set, bundle.PlanOptions{}, "b")
	b := &breaking{place: p, word: "begun\n", ended: make(chan struct{})}
	if _, err := bundle.Apply(
		t.Context(), b, pl, bundle.ApplyOptions{As: "self", State: p.path("state")},
	); !errors.Is(err, compute.ErrLost) {
		t.Fatal(err)
	}
	r, err := p.apply(t, pl, bundle.ApplyOptions{Notify: func(o bundle.Outcome) {
		if o.Action == bundle.Running && o.Step.Name == "1.sh" {
			if err := os.WriteFile(p.path("go"), nil, 0o644); err != nil {
				t.Error(err)
			}
		}
	}})
	<-b.ended
	if err != nil || actions(r) != "0.sh unchanged, 1.sh done, 2.sh done" || p.read(t, "ones") != "x\n" {
		t.Fatalf(
			"actions(r) = %s, err = %v"+
				`; want no error and actions(r) == "0.sh unchanged, 1.sh done, 2.sh done" and p.read(t, `+
				"\"ones\") == \"x\\n\"",
			actions(r), err,
		)
	}
	if o := r.Outcomes[1]; o.Stdout != "begun\n" || o.Stderr != "done\n" {
		t.Errorf("o.Stdout = %q, o.Stderr = %q; want o.Stdout == \"begun\\n\" and o.Stderr == \"done\\n\"", o.Stdout, o.Stderr)
	}
}

// zeros is a directory in which files/big is large and takes no place.
type zeros struct {
	fstest.MapFS
	size int64
}

func (z zeros) Open(name string) (fs.File, error) {
	f, err := z.MapFS.Open(name)
	if err == nil && name == "files/big" {
		return &zeroFile{f, io.LimitReader(zeroReader{}, z.size), z.size}, nil
	}
	return f, err
}

func (z zeros) Stat(name string) (fs.FileInfo, error) { return fs.Stat(z.MapFS, name) }

type zeroFile struct {
	fs.File
	r    io.Reader
	size int64
}

func (z *zeroFile) Read(p []byte) (int, error) { return z.r.Read(p) }

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Memory does not grow with the files: two sizes, one measure.
func TestLargeFile(t *testing.T) {
	measure := func(size int64) uint64 {
		p := newPlace(t)
		set := bundle.Set{}
		content := zeros{fstest.MapFS{"files/big": &fstest.MapFile{Mode: 0o600}}, size}
		set["b"] = bundle.Parse(
			"b", "bundle.conf", []bundle.Entry{{Key: "files", Text: p.path("big"), File: "bundle.conf", Line: 1}},
			content,
		)
		pl := plan(t, set, bundle.PlanOptions{}, "b")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if r, err := p.apply(t, pl, bundle.ApplyOptions{}); err != nil || actions(r) != "big done" {
			t.Fatalf(`actions(r) = %s, err = %v; want no error and actions(r) == "big done"`, actions(r), err)
		}
		runtime.ReadMemStats(&after)
		if info, err := os.Stat(p.path("big")); err != nil || info.Size() != size {
			t.Errorf("info = %v, err = %v; want no error and info.Size() == size", info, err)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	small, large := measure(8<<20), measure(72<<20)
	if large > small+8<<20 {
		t.Errorf("a file of 8 MiB took %d bytes of memory, one of 72 MiB %d", small, large)
	}
}
