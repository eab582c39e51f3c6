package receive_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/receive"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/workspace/send"
)

// patience is for what must come, on whatever machine.
const patience = time.Minute

// side is a far side behind the agent's protocol, as it is everywhere but on this machine itself.
type side struct {
	*agent.Client
	dir string // of the workspaces
}

func open(t testing.TB, opt receive.Options) *side {
	t.Helper()
	if opt.Dir == "" {
		opt.Dir = filepath.Join(t.TempDir(), "spaces")
	}
	conn := receive.New(process.New(process.Options{KeepEnv: true}), opt)
	here, there := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = agent.Serve(ctx, there, conn, agent.Options{})
	}()
	s := &side{agent.New(here), opt.Dir}
	t.Cleanup(func() {
		_ = s.Close()
		cancel()
		<-served
		_ = conn.Close()
	})
	return s
}

// tree is a working tree of a test: contents by path. A path with a slash at its end is an empty
// directory, contents that begin with -> a link's target, with +x those of a program.
type tree map[string]string

var epoch = time.Unix(1_600_000_000, 123_456_789)

// write makes a directory that tree, and lists it.
func (tr tree) write(t testing.TB) *scan.Tree {
	t.Helper()
	out := &scan.Tree{Root: t.TempDir()}
	for path, text := range tr {
		name := filepath.Join(out.Root, path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		e := scan.Entry{Path: path}
		switch target, link := strings.CutPrefix(text, "->"); {
		case strings.HasSuffix(path, "/"):
			e = scan.Entry{Path: strings.TrimSuffix(path, "/"), Kind: scan.Dir, Mode: 0o755}
			if err := os.Mkdir(filepath.Join(out.Root, e.Path), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				t.Fatal(err)
			}
		case link:
			e.Kind, e.Target = scan.Link, target
			if err := os.Symlink(target, name); err != nil {
				t.Fatal(err)
			}
		default:
			body, program := strings.CutPrefix(text, "+x")
			e.Kind, e.Mode, e.Size, e.Sum, e.ModTime = scan.File, 0o644, int64(len(body)), sha256.Sum256([]byte(body)), epoch.UnixNano()
			if program {
				e.Mode = 0o755
			}
			if err := os.WriteFile(name, []byte(body), fs.FileMode(e.Mode)); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(name, epoch, epoch); err != nil {
				t.Fatal(err)
			}
		}
		out.Entries = append(out.Entries, e)
	}
	slices.SortFunc(out.Entries, func(a, b scan.Entry) int { return cmp.Compare(a.Path, b.Path) })
	out.ID = scan.ID(out.Entries)
	return out
}

// sync makes a workspace the tree, and gives it back.
func (s *side) sync(t testing.TB, tr *scan.Tree, opt send.Options) send.Result {
	t.Helper()
	res, err := s.try(t, tr, opt)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func (s *side) try(t testing.TB, tr *scan.Tree, opt send.Options) (send.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	opt.Key, opt.Who = cmp.Or(opt.Key, "w"), cmp.Or(opt.Who, "the test")
	session, err := send.Begin(ctx, s, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	return session.Sync(ctx, tr)
}

// expect compares what stands in a directory with a tree: contents, modes and times.
func (tr tree) expect(t testing.TB, dir string) {
	t.Helper()
	got := tree{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		path, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			if all, err := os.ReadDir(name); err == nil && len(all) == 0 {
				got[path+"/"] = ""
			}
		case fi.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			got[path] = "->" + target
			return err
		default:
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if got[path] = string(b); fi.Mode().Perm() == 0o755 {
				got[path] = "+x" + string(b)
			}
			if _, ours := tr[path]; ours && !fi.ModTime().Equal(epoch) {
				t.Errorf("%s is of %v, not %v", path, fi.ModTime(), epoch)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for path, text := range tr {
		if got[path] != text {
			t.Errorf("%q is %.80q, want %.80q", path, got[path], text)
		}
	}
	for path := range got {
		if _, ok := tr[path]; !ok {
			t.Errorf("%q is there too", path)
		}
	}
}

func (s *side) space(key string) string { return filepath.Join(s.dir, key) }

// run runs a shell script in a session's workspace.
func (s *side) run(t testing.TB, session *send.Session, script string) string {
	t.Helper()
	var out, bad bytes.Buffer
	exit, err := s.Run(
		context.Background(),
		&compute.Command{Args: []string{"sh", "-c", script}, Workspace: session.Token(), Stdout: &out, Stderr: &bad},
	)
	if err != nil || exit.Status() != 0 {
		t.Errorf("%s: exit = %v, err = %v: bad = %s; want no error and exit.Status() == 0", script, exit, err, bad.String())
	}
	return out.String()
}

var usual = tree{
	"a": "one", "bin/run": "+x#!/bin/sh\n", "deep/er/and/er/file": "two", "empty": "", "none/": "", "link": "->deep/er",
	"out":                "->/etc/passwd",
	"name with\nnewline": "three", "-dash": "four", "same": "one", "inv\xff\xfealid": "five", strings.Repeat("x", 255): "long",
}

func TestFirst(t *testing.T) {
	for _, packed := range []bool{false, true} {
		t.Run(fmt.Sprint("packed ", packed), func(t *testing.T) {
			s := open(t, receive.Options{})
			tr := usual.write(t)
			res := s.sync(t, tr, send.Options{Compress: packed})
			if want := s.space("w"); res.Dir != want {
				t.Errorf("the workspace is %s, want %s", res.Dir, want)
			}
			if res.Turns != 1 {
				t.Errorf("%d round trips for a small tree", res.Turns)
			}
			usual.expect(t, res.Dir)
		})
	}
}

func TestUnchanged(t *testing.T) {
	s := open(t, receive.Options{})
	tr, state := usual.write(t), filepath.Join(t.TempDir(), "state")
	s.sync(t, tr, send.Options{State: state})
	for name, opt := range map[string]send.Options{"remembered": {State: state}, "forgotten": {}} {
		res := s.sync(t, tr, opt)
		if res.Turns != 1 || res.Written != 0 || res.Removed != 0 {
			t.Errorf("%s: res = %+v; want res.Turns == 1 and res.Written == 0 and res.Removed == 0", name, res)
		}
	}
	if res := s.sync(t, tr, send.Options{State: state}); res.Sent > 200 {
		t.Errorf("%d bytes were sent for a tree that is there", res.Sent)
	}
}

// TestChange makes each kind of thing each other kind, with and without knowing what was there.
func TestChange(t *testing.T) {
	forms := []tree{
		{"x": "a file", "y": "stays"}, {"x": "->y", "y": "stays"}, {"x/in/side": "deeper", "x/two": "2", "y": "stays"},
		{"y": "stays"}, {"x/": "", "y": "stays"},
		{"x": "+xa file", "y": "changed", "z": "a file"},
	}
	for _, remember := range []bool{false, true} {
		s := open(t, receive.Options{})
		opt := send.Options{}
		if remember {
			opt.State = filepath.Join(t.TempDir(), "state")
		}
		for i, from := range forms {
			for j, to := range forms {
				s.sync(t, from.write(t), opt)
				res := s.sync(t, to.write(t), opt)
				to.expect(t, res.Dir)
				if res.Turns != 1 {
					t.Errorf("%d to %d, remember %v: %d round trips", i, j, remember, res.Turns)
				}
				if t.Failed() {
					t.Fatalf("from %v to %v", from, to)
				}
			}
		}
	}
}

// TestWrongMemory has this side think that there is something else than there is.
func TestWrongMemory(t *testing.T) {
	s := open(t, receive.Options{})
	state := filepath.Join(t.TempDir(), "state")
	one, two := tree{"a": "1", "b": "2"}, tree{"a": "1", "c": "3"}
	s.sync(t, one.write(t), send.Options{State: state})
	s.sync(t, two.write(t), send.Options{}) // another has been here
	third := tree{"a": "1", "b": "2", "d": "4"}
	res := s.sync(t, third.write(t), send.Options{State: state})
	third.expect(t, res.Dir)
	b, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range [][]byte{b[:len(b)-3], b[:20], nil, append(bytes.Clone(b[:60]), b[61:]...)} {
		if err := os.WriteFile(state, damage, 0o600); err != nil {
			t.Fatal(err)
		}
		one["b"] += "."
		res := s.sync(t, one.write(t), send.Options{State: state})
		one.expect(t, res.Dir)
	}
}

func TestLarge(t *testing.T) {
	s := open(t, receive.Options{})
	text := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	tr := tree{"big": text + "1", "again": text + "1", "other": text + "2", "huge": strings.Repeat(text, 6)}
	res := s.sync(t, tr.write(t), send.Options{Compress: true})
	tr.expect(t, res.Dir)
	if res.Turns != 2 || res.Files != 3 {
		t.Errorf("res = %+v; want res.Turns == 2 and res.Files == 3", res)
	}
	delete(tr, "again")
	tr["moved"], tr["big"] = tr["other"], text+"3"
	delete(tr, "other")
	res = s.sync(t, tr.write(t), send.Options{Compress: true})
	tr.expect(t, res.Dir)
	if res.Files != 1 {
		t.Errorf("what was moved was sent: %+v", res)
	}
	other := s.sync(t, tr.write(t), send.Options{Key: "second", Compress: true})
	tr.expect(t, other.Dir)
	if other.Files != 0 {
		t.Errorf("what stands beside was sent: %+v", other)
	}
	if left, _ := filepath.Glob(filepath.Join(s.dir, ".hostler", "*", "stage", "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestRestored has commands change what was synchronised, and leave things of their own.
func TestRestored(t *testing.T) {
	s := open(t, receive.Options{})
	tr, state := usual.write(t), filepath.Join(t.TempDir(), "state")
	dir := s.sync(t, tr, send.Options{State: state}).Dir
	for _, script := range []string{
		"echo other > a", "rm a", "chmod +x a", "touch a", "rm -r deep", "rm link; ln -s nowhere link",
		"rm link; mkdir link", "mv a b; mkdir a; mv b c",
		"rm bin/run; mkdir bin/run", "rm -r bin; echo > bin", "chmod 500 deep deep/er", "printf eno > a; touch -r same a", "rmdir none",
	} {
		session, err := send.Begin(t.Context(), s, send.Options{Key: "w", Who: "the test", State: state})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := session.Sync(t.Context(), tr); err != nil {
			t.Fatal(err)
		}
		if at := strings.TrimSpace(s.run(t, session, "pwd; "+script)); at != dir {
			t.Errorf("the command ran in %q", at)
		}
		session.Close()
		res := s.sync(t, tr, send.Options{State: state})
		if res.Written == 0 && script != "chmod 500 deep deep/er" {
			t.Errorf("after %q nothing was written", script)
		}
		_ = os.Remove(filepath.Join(dir, "c"))
		usual.expect(t, dir)
		if t.Failed() {
			t.Fatalf("after %q", script)
		}
	}
}

// TestKept has what commands leave stay, whatever goes, until it is asked to go.
func TestKept(t *testing.T) {
	s := open(t, receive.Options{})
	one := tree{"src/a": "1", "src/b": "2", "old/c": "3"}
	dir := s.sync(t, one.write(t), send.Options{}).Dir
	for name, text := range map[string]string{"src/out.o": "built", "old/left": "stays", "top": "own"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	two := tree{"src/a": "1", "top": "from here"}
	s.sync(t, two.write(t), send.Options{})
	mixed := tree{"src/a": "1", "src/out.o": "built", "old/left": "stays", "top": "from here"}
	check := func(want tree) {
		t.Helper()
		for path, text := range want {
			if b, err := os.ReadFile(filepath.Join(dir, path)); string(b) != text {
				t.Errorf("%s: b = %q, err = %v; want string(b) == text", path, b, err)
			}
		}
	}
	check(mixed)
	if _, err := os.Stat(filepath.Join(dir, "src/b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("src/b is still there: %v", err)
	}
	three := tree{"src/a": "1", "old": "a file now"}
	_, err := s.try(t, three.write(t), send.Options{})
	if !errors.Is(err, compute.ErrConflict) || !strings.Contains(err.Error(), `"old/left"`) ||
		!strings.Contains(compute.Hint(err), "--clean") {
		t.Errorf("a directory with files of others in the place of a file: %v", err)
	}
	check(mixed)
	s.sync(t, three.write(t), send.Options{SyncOptions: workspace.SyncOptions{Clean: true}})
	three.expect(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "again"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.sync(t, three.write(t), send.Options{SyncOptions: workspace.SyncOptions{Fresh: true}})
	three.expect(t, dir)
}

// TestSeveralInTurn keeps two workspaces in turn through one connection, which remembers the last
// one's list, and another connection changes them between.
func TestSeveralInTurn(t *testing.T) {
	s := open(t, receive.Options{})
	other := open(t, receive.Options{Dir: s.dir})
	one, two := tree{"f": "1", "g": "2"}, tree{"f": "3", "d/h": "4"}
	first, second := one.write(t), two.write(t)
	for range 2 {
		for key, tr := range map[string]*scan.Tree{"a": first, "b": second} {
			s.sync(t, tr, send.Options{Key: key})
			s.sync(t, tr, send.Options{Key: key})
		}
		one.expect(t, s.space("a"))
		two.expect(t, s.space("b"))
	}
	state := filepath.Join(t.TempDir(), "state")
	for i, tr := range []*scan.Tree{first, second, first, first, second} {
		by := s
		if i%2 == 1 {
			by = other
		}
		by.sync(t, tr, send.Options{Key: "a", State: state})
		want := map[bool]tree{true: one, false: two}[tr == first]
		want.expect(t, s.space("a"))
		if err := os.WriteFile(filepath.Join(s.space("a"), "f"), []byte("9"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
