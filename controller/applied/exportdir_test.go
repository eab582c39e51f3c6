package applied_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/applied"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "apply-and-die" {
		if err := applyAndDie(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// killedSets are the sets of TestKilled: what is there before, and what is to be.
var killedSets = []api.ApplySet{
	set("a=b", source("one", "type = fake\n"), source("two", "type = fake\n")),
	{
		Labels: map[string]string{"a": "b"}, Prune: true,
		Things: []api.WantedThing{source("two", "type = fake\nreserve = 1\n"), source("three", "type = fake\n")},
	},
}

// applyAndDie applies the second set, and ends as nothing else can at the step of that number.
func applyAndDie(dir, at string) error {
	die, err := strconv.Atoi(at)
	if err != nil {
		return err
	}
	steps := 0
	step := func(string) {
		if steps++; steps == die {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	s, err := sqlite.Open(context.Background(), filepath.Join(dir, "state.db"), sqlite.Options{})
	if err != nil {
		return err
	}
	m := applied.ExportDir{Dir: filepath.Join(dir, "applied"), Step: step}
	b := applied.New(applied.Options{Store: s, Step: step, Changed: func(ctx context.Context) error { return m.Sync(ctx, s) }})
	_, err = b.Apply(context.Background(), ann, killedSets[1])
	return errors.Join(err, s.Close())
}

// shown is what a directory of configuration has: names and texts.
func shown(t *testing.T, dir string) (out []string) {
	t.Helper()
	things, _, err := applied.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range things {
		for _, f := range one.Files {
			out = append(out, one.Kind+" "+one.Name+" "+f.Path+" "+f.Mode+" "+string(applied.Data(f)))
		}
	}
	return out
}

// TestKilled kills an apply at each step: afterwards there is all of it or nothing, in the store
// and to who reads the configuration, and the next one goes on.
func TestKilled(t *testing.T) {
	var was, now []string
	outcomes := map[int64]int{}
	for n := 1; ; n++ {
		dir := t.TempDir()
		s, err := sqlite.Open(t.Context(), filepath.Join(dir, "state.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		m := applied.ExportDir{Dir: filepath.Join(dir, "applied")}
		b := applied.New(applied.Options{Store: s, Changed: func(ctx context.Context) error { return m.Sync(ctx, s) }})
		if _, err := b.Apply(t.Context(), ann, killedSets[0]); err != nil {
			t.Fatal(err)
		}
		was = shown(t, m.Path())
		out, err := exec.Command(os.Args[0], "apply-and-die", dir, strconv.Itoa(n)).CombinedOutput()
		lived := err == nil
		if exit := (*exec.ExitError)(nil); !lived && (!errors.As(err, &exit) || exit.ExitCode() != -1) {
			t.Fatalf("step %d: %v %s", n, err, out)
		}
		revision := all(t, s).Revision
		outcomes[revision]++
		if got := shown(t, m.Path()); !slices.Equal(got, was) && (now != nil && !slices.Equal(got, now) || revision != 2) {
			t.Errorf("step %d: half of it is shown: %q", n, got)
		}
		if err := m.Sync(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		got := shown(t, m.Path())
		if revision == 1 && !slices.Equal(got, was) {
			t.Errorf("step %d: nothing was written, and %q is shown", n, got)
		}
		if answer, err := b.Apply(t.Context(), ann, killedSets[1]); err != nil || answer.Revision != 2 {
			t.Errorf("step %d: the next one: revision %d, %v", n, answer.Revision, err)
		}
		now = shown(t, m.Path())
		if revision == 2 && !slices.Equal(got, now) {
			t.Errorf("step %d: all was written, and %q is shown, not %q", n, got, now)
		}
		third := killedSets[0]
		third.Prune = true
		if _, err := b.Apply(t.Context(), ann, third); err != nil {
			t.Error(err)
		}
		// lock, the link, and what it leads to
		if entries, err := os.ReadDir(m.Dir); err != nil || len(entries) != 3 {
			t.Errorf("step %d: %v is left, %v", n, entries, err)
		}
		_ = s.Close()
		if lived {
			break
		}
	}
	if outcomes[1] < 3 || outcomes[2] < 3 {
		t.Errorf("it was killed before and after the commit so often: %v", outcomes)
	}
}

// TestMirror: what is shown follows the store, also one that was put back.
func TestMirror(t *testing.T) {
	s, m := openStore(t), applied.ExportDir{Dir: filepath.Join(t.TempDir(), "deep", "applied")}
	b := applied.New(applied.Options{Store: s})
	sync := func(s store.Transactor) {
		t.Helper()
		if err := m.Sync(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	sync(s)
	if _, err := os.Stat(m.Dir); !errors.Is(err, fs.ErrNotExist) || m.Mark() != "" {
		t.Errorf("a directory is there for nothing: %v", err)
	}
	file := api.ThingFile{Path: "provision.d/run", Mode: "0700", Text: "#!/bin/sh\n"}
	if _, err := b.Apply(t.Context(), ann, set("a=b", source("web", "type = fake\n", file))); err != nil {
		t.Fatal(err)
	}
	sync(s)
	if got, want := shown(t, m.Path()), []string{
		"source web provision.d/run 0755 #!/bin/sh\n", "source web source.conf  type = fake\n",
	}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	info, err := os.Stat(m.Dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others see it: %v %v", info.Mode(), err)
	}
	mark := m.Mark()
	sync(s)
	if m.Mark() != mark {
		t.Error("nothing has changed, and the mark has")
	}
	if err := os.RemoveAll(filepath.Join(m.Dir, mark)); err != nil { // a cleaner of old files
		t.Fatal(err)
	}
	if m.Mark() != "" {
		t.Error("what is not there counts as shown")
	}
	if sync(s); m.Mark() != mark || len(shown(t, m.Path())) != 2 {
		t.Errorf("what was taken away is not shown again: %q", shown(t, m.Path()))
	}
	dir, done, err := m.Try(all(t, s).Things)
	if err != nil || !slices.Equal(shown(t, dir), shown(t, m.Path())) {
		t.Errorf("tried: %v", err)
	}
	done()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was tried stays: %v", err)
	}
	back := openStore(t) // as a backup of an earlier time, with a first change of its own
	if _, err := applied.New(applied.Options{Store: back}).Apply(t.Context(), ann, set("", source("old", "type = fake\n"))); err != nil {
		t.Fatal(err)
	}
	sync(back)
	if got := shown(t, m.Path()); len(got) != 1 || !strings.HasPrefix(got[0], "source old") {
		t.Errorf("of the store that was put back %q is shown", got)
	}
	sync(openStore(t))
	if m.Mark() != "" {
		t.Error("a store with nothing shows something")
	}
}

// TestReadDir: what a directory has, and what leads out of it.
func TestReadDir(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(what string) {
		t.Helper()
		_, _, err := applied.ReadDir(dir)
		isKind(t, what, err, compute.ErrInvalid)
	}
	refused("nothing in it")
	write("README.md", "x")
	write("hostler.conf", "x")
	write("sources/.hidden/x", "x")
	write("sources/web/source.conf", "type = fake\n")
	write("bundles/tool/bundle.conf", "")
	write("bundles/tool/files/.rc", "rc")
	write("bundles/tool/.git/config", "no")
	write("bundles/tool/..data/x", "as Kubernetes has it")
	if err := os.Symlink("../../sources/web/source.conf", filepath.Join(dir, "bundles/tool/link")); err != nil {
		t.Fatal(err)
	}
	things, beside, err := applied.ReadDir(dir)
	if err != nil || !slices.Equal(beside.Left, []string{"hostler.conf"}) {
		t.Errorf(`beside.Left = %v, err = %v; want no error and beside.Left == []string{"hostler.conf"}`, beside.Left, err)
	}
	if got, want := shown(t, dir), []string{
		"bundle tool bundle.conf 0600 ", "bundle tool files/.rc 0600 rc", "bundle tool link 0600 type = fake\n",
		"source web source.conf 0600 type = fake\n",
	}; !slices.Equal(got, want) || len(things) != 2 {
		t.Errorf("%q, want %q", got, want)
	}
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, put := range map[string]func(path string) error{
		"a link out of it":       func(path string) error { return os.Symlink(outside, path) },
		"a link up":              func(path string) error { return os.Symlink("../../../x", path) },
		"a link to a directory":  func(path string) error { return os.Symlink("files", path) },
		"a link to nothing":      func(path string) error { return os.Symlink("nothing", path) },
		"a pipe":                 func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a name that cannot be":  func(path string) error { return os.WriteFile(path+"\n", nil, 0o600) },
		"a file that is too big": func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 17<<20)) },
	} {
		path := filepath.Join(dir, "bundles/tool/odd")
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		refused(what)
		_, _ = os.Remove(path), os.Remove(path+"\n")
	}
	if _, _, err := applied.ReadDir(dir); err != nil {
		t.Error(err)
	}
	write("projects/x", "")
	refused("a file where a thing is to be")
	isKind(t, "no directory", func() error { _, _, err := applied.ReadDir(filepath.Join(dir, "none")); return err }(), compute.ErrInvalid)
}

// FuzzThing: whatever somebody wants is refused, or stays where it belongs and comes back as it
// was.
func FuzzThing(f *testing.F) {
	for _, p := range []string{
		"source.conf", "../x", "a/../../x", "/etc/x", "a//b", "provision.d/run", "a\\b", "..", "..x", ".git", "a/.git/b",
		"\xff", "x\x00",
	} {
		f.Add("web", p, "0644", []byte("x"))
	}
	f.Add("..", "x", "0755", []byte{0})
	f.Add(".", "x", "0000", []byte(""))
	f.Fuzz(func(t *testing.T, name, path, mode string, data []byte) {
		w := api.WantedThing{
			Kind: applied.Bundle, Name: name,
			Files: []api.ThingFile{{Path: "bundle.conf"}, {Path: path, Mode: mode, Base64: data}},
		}
		changes, err := applied.Plan(nil, api.ApplySet{Things: []api.WantedThing{w}})
		if err != nil {
			isKind(t, "refused", err, compute.ErrInvalid)
			return
		}
		top := t.TempDir()
		m := applied.ExportDir{Dir: filepath.Join(top, "in", "applied")}
		dir, _, err := m.Try(applied.After(nil, changes))
		if err != nil {
			t.Fatalf("%q path = %q: err = %v; want no error", name, path, err)
		}
		got, err := os.ReadFile(filepath.Join(dir, "bundles", name, path))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%q path = %q: got = %q, err = %v; want no error and got == data", name, path, got, err)
		}
		if entries, err := os.ReadDir(filepath.Join(top, "in")); err != nil || len(entries) != 1 {
			t.Errorf("%q %q: %v is beside it, %v", name, path, entries, err)
		}
		if strings.HasPrefix(path, "..") || strings.Contains("/"+path, "/..") || slices.Contains(strings.Split(path, "/"), ".git") {
			return // not read from directories
		}
		back, _, err := applied.ReadDir(dir)
		if err != nil || len(back) != 1 {
			t.Fatalf("%q %q: read again: %v", name, path, err)
		}
		again, err := applied.Plan(applied.After(nil, changes), api.ApplySet{Things: back})
		if err != nil || again[0].Action != applied.Unchanged || !reflect.DeepEqual(again[0].Now, changes[0].Now) {
			t.Errorf("%q %q: it comes back as %+v, %v", name, path, again, err)
		}
	})
}
