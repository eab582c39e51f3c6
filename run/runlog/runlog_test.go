package runlog_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/runlog"
)

const childDir = "RUNLOG_TEST_DIR"

// TestMain is also the process that TestKilled kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		l := &runlog.Log{Dir: dir}
		run, err := l.Begin(runlog.Record{Args: []string{"make"}, Started: time.Now()})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		out := run.Stream("stdout")
		_, _ = out.Write(bytes.Repeat([]byte("x"), 1<<20))
		_, _ = out.Write([]byte("written before the end"))
		fmt.Println(run.ID())
		select {}
	}
	os.Exit(m.Run())
}

func begin(t testing.TB, l *runlog.Log, rec runlog.Record) *runlog.Run {
	t.Helper()
	if rec.Started.IsZero() {
		rec.Started = time.Now()
	}
	run, err := l.Begin(rec)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func end(run *runlog.Run, status int) {
	run.End(func(r *runlog.Record) { r.Exit = &status })
}

func text(t testing.TB, l *runlog.Log, id, name string) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := l.Copy(&b, id, name, 0); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRun(t *testing.T) {
	l := &runlog.Log{Dir: filepath.Join(t.TempDir(), "state", "runs")}
	if all, err := l.List(); err != nil || len(all) != 0 {
		t.Errorf("before there is one: %v, %v", all, err)
	}
	run := begin(t, l, runlog.Record{Args: []string{"a", "b c", ""}, Env: []string{"CI"}})
	_, _ = run.Stream("stdout").Write([]byte("out"))
	if got := text(t, l, run.ID(), "stdout"); got != "out" {
		t.Errorf("while it runs: %q", got)
	}
	if got := text(t, l, run.ID(), "stderr"); got != "" {
		t.Errorf("an output without bytes: %q", got)
	}
	if rec, err := l.Find(run.ID()[:5]); err != nil || rec.State != runlog.Running {
		t.Errorf("while it runs: %v, %v", rec, err)
	}
	run.Update(func(r *runlog.Record) { r.Instance = "web-1" })
	end(run, 3)
	_, _ = run.Stream("stdout").Write([]byte("late"))
	rec, err := l.Find(runlog.Last)
	if err != nil || rec.State != runlog.Ended || *rec.Exit != 3 || rec.Instance != "web-1" || rec.Ended == nil || run.Err() != nil {
		t.Errorf(
			"rec = %+v, err = %v, run.Err() = %v"+
				"; want no error and rec.State == runlog.Ended and *rec.Exit == 3 and rec.Instance == "+
				`"web-1" and rec.Ended != nil and run.Err() == nil`,
			rec, err, run.Err(),
		)
	}
	if diff := cmp.Diff([]string{"a", "b c", ""}, rec.Args); diff != "" {
		t.Error(diff)
	}
	_ = filepath.WalkDir(l.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			t.Error(err)
			return nil
		}
		info, _ := d.Info()
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
}

func TestFind(t *testing.T) {
	l := &runlog.Log{Dir: t.TempDir()}
	if _, err := l.Find(runlog.Last); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("the last of none: %v", err)
	}
	for range 30 { // there are 19 first letters
		end(begin(t, l, runlog.Record{}), 0)
	}
	several := 0
	for _, id := range l.IDs() {
		if _, err := l.Find(id[:1]); errors.Is(err, compute.ErrInvalid) {
			several++
		}
		if rec, err := l.Find(id); err != nil || rec.ID != id {
			t.Errorf("%s: rec.ID = %v, err = %v; want no error and rec.ID == id", id, rec.ID, err)
		}
	}
	if several == 0 {
		t.Error("no first letter of 30 runs was that of several")
	}
	for _, name := range []string{"", "nowhere", "../x", "."} {
		if _, err := l.Find(name); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("%q: err = %v; want error compute.ErrNotFound", name, err)
		}
	}
}

// TestKilled: what a process that is killed had recorded is there, and it is seen that it does not
// go on.
func TestKilled(t *testing.T) {
	l := &runlog.Log{Dir: t.TempDir()}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+l.Dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	id := strings.TrimSpace(line)
	if err != nil || len(id) != 8 {
		t.Fatalf("line = %q, err = %v; want no error and len(id) == 8", line, err)
	}
	if rec, err := l.Find(id); err != nil || rec.State != runlog.Running || rec.Process != cmd.Process.Pid {
		t.Errorf("before: %+v, %v", rec, err)
	}
	if p, err := l.Prune(context.Background(), runlog.Limits{}, true); err != nil || p.Runs != 0 {
		t.Errorf("one that runs is pruned: %v, %v", p, err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if rec, err := l.Find(id); err != nil || rec.State != runlog.Lost || rec.Args[0] != "make" {
		t.Errorf("after: %+v, %v", rec, err)
	}
	if got := text(t, l, id, "stdout"); !strings.HasSuffix(got, "xwritten before the end") || len(got) != 1<<20+22 {
		t.Errorf("its output: %d bytes", len(got))
	}
	if p, err := l.Prune(context.Background(), runlog.Limits{}, true); err != nil || p.Runs != 1 || len(l.IDs()) != 0 {
		t.Errorf("it is not pruned: %v, %v", p, err)
	}
}

// TestOutput: of any output, written in any pieces, the first and the last bytes are there, the
// line between says how many are not, and no more is on the disk than that and a piece.
func TestOutput(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		l := &runlog.Log{Dir: dir, First: int64(rapid.IntRange(1, 20).Draw(t, "first")), Rest: int64(rapid.IntRange(1, 50).Draw(t, "rest"))}
		run, err := l.Begin(runlog.Record{Started: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Remove(run.ID())
		out := run.Stream("stdout")
		var whole []byte
		at, followed := int64(0), &bytes.Buffer{}
		gaps := false
		for range rapid.IntRange(0, 20).Draw(t, "writes") {
			p := rapid.SliceOfN(rapid.SampledFrom([]byte("ab\n")), 0, 30).Draw(t, "p")
			whole = append(whole, p...)
			_, _ = out.Write(p)
			if rapid.Bool().Draw(t, "look") {
				before := at
				if at, err = l.Copy(followed, run.ID(), "stdout", at); err != nil || at != int64(len(whole)) {
					t.Fatalf("followed to %d of %d: %v", at, len(whole), err)
				}
				gaps = gaps || before < int64(len(whole))-l.Rest && int64(len(whole)) > l.First+l.Rest
			}
		}
		end(run, 0)
		want := string(whole)
		if n := int64(len(whole)); n > l.First+l.Rest {
			want = fmt.Sprintf("%s\n[hostler: %d bytes are not kept here]\n%s", whole[:l.First], n-l.First-l.Rest, whole[n-l.Rest:])
		}
		var got bytes.Buffer
		if _, err := l.Copy(&got, run.ID(), "stdout", 0); err != nil || got.String() != want {
			t.Fatalf("%q, want %q; %v", &got, want, err)
		}
		if at, err = l.Copy(followed, run.ID(), "stdout", at); err != nil || at != int64(len(whole)) ||
			!gaps && int64(followed.Len()) == at && followed.String() != string(whole) {
			t.Fatalf("followed: %q, %v", followed, err)
		}
		kept := int64(0)
		pieces, _ := filepath.Glob(filepath.Join(l.Dir, run.ID(), "stdout*"))
		for _, p := range pieces {
			if info, err := os.Stat(p); err == nil {
				kept += info.Size()
			}
		}
		if kept > 3*l.First+l.Rest {
			t.Fatalf("%d bytes are kept of %d, with %d and %d", kept, len(whole), l.First, l.Rest)
		}
	})
}

func TestTail(t *testing.T) {
	l := &runlog.Log{Dir: t.TempDir(), First: 8, Rest: 24}
	run := begin(t, l, runlog.Record{})
	out := run.Stream("stdout")
	for i := range 20 {
		fmt.Fprintf(out, "line %d\n", i)
	}
	fmt.Fprint(out, "open")
	end(run, 0)
	for lines, want := range map[int]string{
		0: "", 1: "open", 2: "line 19\nopen", 3: "line 18\nline 19\nopen", 100: "17\nline 18\nline 19\nopen",
	} {
		at, err := l.Tail(run.ID(), "stdout", lines)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := l.Copy(&b, run.ID(), "stdout", at); err != nil || !strings.HasSuffix(b.String(), want) ||
			lines < 100 && b.String() != want {
			t.Errorf("%d lines: %q, %v; want %q", lines, &b, err, want)
		}
	}
}

func TestUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := &runlog.Log{Dir: file}
	run, err := l.Begin(runlog.Record{})
	if err == nil || run == nil || len(run.ID()) != 8 || run.Err() == nil {
		t.Fatalf("a file in place of the directory: %v, %v", run, err)
	}
	if n, err := run.Stream("stdout").Write([]byte("out")); n != 3 || err != nil {
		t.Errorf("its output: %d, %v", n, err)
	}
	end(run, 0)

	l = &runlog.Log{Dir: t.TempDir(), First: 4}
	run = begin(t, l, runlog.Record{})
	out := run.Stream("stdout")
	_, _ = out.Write([]byte("123"))
	if err := os.RemoveAll(l.Dir); err != nil {
		t.Fatal(err)
	}
	if n, err := out.Write([]byte("45678")); n != 5 || err != nil || out.Bytes() != 8 {
		t.Errorf("while the directory is gone: %d, %v", n, err)
	}
	end(run, 0)
	if run.Err() == nil {
		t.Error("nobody hears that it is gone")
	}
}

func TestPrune(t *testing.T) {
	now := time.Now()
	some := func(t *testing.T) *runlog.Log {
		l := &runlog.Log{Dir: t.TempDir()}
		for day := range 10 {
			run := begin(t, l, runlog.Record{Started: now.AddDate(0, 0, -day)})
			_, _ = run.Stream("stderr").Write(make([]byte, 10_000))
			end(run, day)
		}
		return l
	}
	for _, test := range []struct {
		name   string
		limits runlog.Limits
		all    bool
		left   int
	}{
		{"no limit", runlog.Limits{}, false, 10},
		{"age", runlog.Limits{Age: 60 * time.Hour}, false, 3},
		{"number", runlog.Limits{Runs: 4}, false, 4},
		{"bytes", runlog.Limits{Bytes: 55_000}, false, 5},
		{"what is first", runlog.Limits{Age: 60 * time.Hour, Runs: 2, Bytes: 1 << 30}, false, 2},
		{"all", runlog.Limits{}, true, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := some(t)
			p, err := l.Prune(context.Background(), test.limits, test.all)
			left, _ := l.List()
			if err != nil || len(left) != test.left || p.Runs != 10-test.left || p.Bytes < int64(10_000*p.Runs) {
				t.Errorf("%d are left, %+v, %v", len(left), p, err)
			}
			for i, rec := range left {
				if *rec.Exit != i {
					t.Errorf("the run of day %d is left at %d", *rec.Exit, i)
				}
			}
			if again, err := l.Prune(context.Background(), test.limits, test.all); err != nil || again.Runs != 0 {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

// TestAtOnce: runs begin, write and end, others prune and list, all at once; nobody gets an error,
// and no run that goes on loses anything.
func TestAtOnce(t *testing.T) {
	l := &runlog.Log{Dir: t.TempDir()}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 25 {
				run, err := l.Begin(runlog.Record{Started: time.Now()})
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = run.Stream("stdout").Write([]byte("out"))
				var b bytes.Buffer
				if _, err := l.Copy(&b, run.ID(), "stdout", 0); err != nil || b.String() != "out" {
					t.Errorf(`&b = %q, err = %v; want no error and b.String() == "out"`, &b, err)
				}
				end(run, i)
				if err := run.Err(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 3 {
		all.Go(func() {
			for range 20 {
				if _, err := l.Prune(context.Background(), runlog.Limits{Runs: 3}, false); err != nil {
					t.Error(err)
				}
				if _, err := l.List(); err != nil {
					t.Error(err)
				}
				if _, err := l.Find("b"); err != nil && !errors.Is(err, compute.ErrNotFound) && !errors.Is(err, compute.ErrInvalid) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if _, err := l.Prune(context.Background(), runlog.Limits{Runs: 3}, false); err != nil || len(l.IDs()) != 3 {
		t.Errorf("%d are left, %v", len(l.IDs()), err)
	}
}

// TestLeavings: what killed processes have left is swept away when it is old, and what others are
// making is not.
func TestLeavings(t *testing.T) {
	l := &runlog.Log{Dir: t.TempDir()}
	old := time.Now().Add(-24 * time.Hour)
	for _, name := range []string{"bbbbbbbb", "cccccccc", ".dddddddd-ffffffff", "mine", ".mine-too"} {
		if err := os.MkdirAll(filepath.Join(l.Dir, name, "sub"), 0o700); err != nil {
			t.Fatal(err)
		}
		if name != "cccccccc" {
			if err := os.Chtimes(filepath.Join(l.Dir, name), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(l.Dir, "bbbbbbbb", "record.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(l.Dir, "bbbbbbbb"), old, old); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Prune(context.Background(), runlog.Limits{}, false); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, _ := os.ReadDir(l.Dir)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if diff := cmp.Diff([]string{".mine-too", ".pruned", "cccccccc", "mine"}, left); diff != "" {
		t.Error(diff)
	}
}
