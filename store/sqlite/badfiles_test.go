package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/store/sqlite"
)

// refused opens what must be refused with a kind and a hint, and returns the error.
func refused(t *testing.T, path string, kind error, words string) {
	t.Helper()
	st, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err == nil {
		st.Close()
		t.Fatal("it was opened")
	}
	if !errors.Is(err, kind) || compute.Hint(err) == "" || !strings.Contains(err.Error()+"; "+compute.Hint(err), words) {
		t.Fatalf("%v; hint %q: want %v and %q", err, compute.Hint(err), kind, words)
	}
}

// made returns the path of a state file that has been used and closed.
func made(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	st := mustOpen(t, path)
	write(t, st, 200)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, st *sqlite.Store, n int) {
	t.Helper()
	for range n {
		if err := st.Update(t.Context(), func(tx store.Tx) error { return appendEvent(tx, 200) }); err != nil {
			t.Fatal(err)
		}
	}
}

func appendEvent(tx store.Tx, size int) error {
	_, err := tx.Append(&compute.Event{Kind: "k", Time: time.Unix(1, 0), Text: strings.Repeat("x", size)})
	return err
}

// all reads every file of a directory.
func all(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func untouched(t *testing.T, dir string, before map[string]string) {
	t.Helper()
	after := all(t, dir)
	for path, b := range before {
		if after[path] != b {
			t.Errorf("%s was touched", path)
		}
	}
	for path := range after {
		if _, ok := before[path]; !ok {
			t.Errorf("%s was made", path)
		}
	}
}

// raw runs statements on a file as another program would, and leaves the log that it has written
// where keep says so.
func raw(t *testing.T, path string, keep bool, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, s := range statements {
		if _, err := c.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if keep {
		for _, suffix := range []string{"", "-wal"} {
			b, err := os.ReadFile(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path+".kept"+suffix, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestNewer: what a newer hostler wrote is refused and not touched, also where its log is still to
// be worked in.
func TestNewer(t *testing.T) {
	path := made(t)
	raw(t, path, false, "PRAGMA user_version = 99", "PRAGMA wal_checkpoint(TRUNCATE)")
	raw(t, path, true, "CREATE TABLE later (x)", "INSERT INTO later VALUES (1)")
	dir := t.TempDir()
	for _, suffix := range []string{"", "-wal"} {
		if err := os.Rename(path+".kept"+suffix, filepath.Join(dir, "state.db"+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	path = filepath.Join(dir, "state.db")
	before := all(t, dir)
	if len(before[path+"-wal"]) == 0 {
		t.Fatal("there is no log")
	}
	refused(t, path, compute.ErrConflict, "newer hostler wrote it: it has format 99")
	untouched(t, dir, before)
}

// TestNewerInLog: the newer format may stand in the log alone.
func TestNewerInLog(t *testing.T) {
	path := made(t)
	raw(t, path, true, "PRAGMA user_version = 99")
	b, err := os.ReadFile(path + ".kept")
	if err != nil {
		t.Fatal(err)
	}
	if v := binary.BigEndian.Uint32(b[60:]); v < 1 || v == 99 {
		t.Fatalf("the header says %d", v)
	}
	log, err := os.ReadFile(path + ".kept-wal")
	if err != nil {
		t.Fatal(err)
	}
	refused(t, path+".kept", compute.ErrConflict, "newer hostler")
	for suffix, before := range map[string][]byte{"": b, "-wal": log} {
		if after, err := os.ReadFile(path + ".kept" + suffix); err != nil || !bytes.Equal(before, after) {
			t.Errorf("state.db%s was touched: %v", suffix, err)
		}
	}
}

// TestHeaderTrue: after a file was made, its header says so without the log.
func TestHeaderTrue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	mustOpen(t, path) // stays open, so nothing is worked in by the close
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if v, app := binary.BigEndian.Uint32(b[60:]), string(b[68:72]); v < 1 || app != "hstl" {
		t.Errorf("version %d, application %q", v, app)
	}
	for _, f := range []string{"", "-wal", "-shm", "-workers"} {
		info, err := os.Stat(path + f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("state.db%s has mode %v", f, info.Mode())
		}
	}
}

// TestForeign: files of others are refused and not touched.
func TestForeign(t *testing.T) {
	for name, make := range map[string]func(t *testing.T, path string){
		"a database": func(t *testing.T, path string) { raw(t, path, false, "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)") },
		"a database in WAL mode": func(t *testing.T, path string) {
			raw(t, path, false, "PRAGMA journal_mode = WAL", "CREATE TABLE t (x)")
		},
		"a database of another application": func(t *testing.T, path string) {
			raw(t, path, false, "PRAGMA application_id = 77", "PRAGMA user_version = 1", "CREATE TABLE t (x)")
		},
		"a text": func(t *testing.T, path string) { put(t, path, []byte("dear diary\n")) },
		"a long text": func(t *testing.T, path string) {
			put(t, path, bytes.Repeat([]byte("all work and no play\n"), 1000))
		},
		"zeros": func(t *testing.T, path string) { put(t, path, make0(8192)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "state.db")
			make(t, path)
			before := all(t, dir)
			refused(t, path, compute.ErrConflict, "it is not a state file of hostler")
			untouched(t, dir, before)
		})
	}
}

func make0(n int) []byte { return make([]byte, n) }

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDamaged: damage is said when it is met, with what to do, and is never taken for an empty
// state.
func TestDamaged(t *testing.T) {
	good := made(t)
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < 40960 {
		t.Fatalf("the file has only %d bytes", len(b))
	}
	cut := func(n int) []byte { return bytes.Clone(b[:n]) }
	flip := func(from int) []byte {
		c := bytes.Clone(b)
		for n := from; n < len(c); n += 7 {
			c[n] ^= 0x5a
		}
		return c
	}
	for name, bad := range map[string][]byte{
		"cut in the header": cut(50), "cut after the header": cut(100), "cut in a page": cut(4096*3 + 1000),
		"cut in the first page":    cut(3000),
		"flipped after the header": flip(104), "flipped from the second page on": flip(4096),
		"flipped from the sixth page on": flip(5 * 4096),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			put(t, path, bad)
			st, err := sqlite.Open(t.Context(), path, sqlite.Options{})
			if err == nil {
				defer st.Close()
				err = st.View(t.Context(), func(tx store.Tx) error {
					es, err := tx.Events(inventory.EventQuery{})
					if err == nil && len(es) != 200 {
						t.Errorf("%d events and no error", len(es))
					}
					return err
				})
				if err == nil {
					err = st.Update(t.Context(), func(tx store.Tx) error { return appendEvent(tx, 10) })
				}
			}
			if !errors.Is(err, compute.ErrFailed) || !strings.Contains(compute.Hint(err), "the state file is damaged: move it") {
				t.Fatalf("%v; hint %q", err, compute.Hint(err))
			}
		})
	}
	t.Run("no bytes", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state.db")
		put(t, path, nil)
		write(t, mustOpen(t, path), 1)
	})
	t.Run("a log without its file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state.db")
		st := mustOpen(t, path)
		write(t, st, 20)
		if err := st.Leave(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		st = mustOpen(t, path)
		write(t, st, 1)
		integrity(t, path)
		if n := count(t, st); n != 1 {
			t.Errorf("%d events in a new file", n)
		}
	})
}

func count(t *testing.T, st *sqlite.Store) (n int) {
	t.Helper()
	err := st.View(t.Context(), func(tx store.Tx) error {
		es, err := tx.Events(inventory.EventQuery{})
		n = len(es)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestNames: a path may be of any characters, and go over links.
func TestNames(t *testing.T) {
	for _, name := range []string{"a?b#c%20d", "with spaces", "ключ-日本-🦄", "%", "?vfs=none&mode=ro", "a;b'c\"d", "file:x", "new\nline"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), name)
			path := filepath.Join(dir, name+".db")
			write(t, mustOpen(t, path), 1)
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if !strings.HasPrefix(e.Name(), name+".db") {
					t.Errorf("there is a %q", e.Name())
				}
			}
			if n := count(t, mustOpen(t, path)); n != 1 {
				t.Errorf("%d events", n)
			}
		})
	}
	t.Run("links", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "real", "state.db")
		st := mustOpen(t, path)
		write(t, st, 1)
		for _, err := range []error{os.Symlink("real", filepath.Join(dir, "link")), os.MkdirAll(filepath.Join(dir, "other"), 0o700),
			os.Symlink("../real/state.db", filepath.Join(dir, "other", "state.db"))} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range []string{
			filepath.Join(dir, "link", "state.db"), filepath.Join(dir, "other", "state.db"),
			dir + "//real/../real//state.db",
		} {
			other := mustOpen(t, p)
			if n := count(t, other); n != 1 || !other.Alive(st.Worker()) || !st.Alive(other.Worker()) {
				t.Errorf("%s: %d events, and workers that do not see each other", p, n)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "other", "state.db-workers")); err == nil {
			t.Error("locks lie beside the link, and not beside the file")
		}
	})
	t.Run("relative", func(t *testing.T) {
		t.Chdir(t.TempDir())
		st := mustOpen(t, "state.db")
		t.Chdir(t.TempDir())
		for range 40 { // also on connections that are opened later
			count(t, st)
		}
		write(t, st, 1)
		if _, err := os.Stat("state.db"); err == nil {
			t.Error("it followed the working directory")
		}
	})
}

// mount mounts a small file system of memory, or skips.
func mount(t *testing.T, options string) (dir string, remount func(options string)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mount: needs root")
	}
	dir = t.TempDir()
	run := func(args ...string) error {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%v: %w: %s", args, err, out)
		}
		return nil
	}
	if err := run("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir); err != nil {
		t.Skip("mount:", err)
	}
	t.Cleanup(func() {
		if err := run("umount", "-l", dir); err != nil {
			t.Error(err)
		}
	})
	return dir, func(options string) {
		t.Helper()
		if err := run("mount", "-o", "remount,"+options, dir); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFullDisk: an Update for which there is no room fails, changes nothing, and the store goes on
// where there is room again.
func TestFullDisk(t *testing.T) {
	dir, _ := mount(t, "size=1500k,mode=700")
	path := filepath.Join(dir, "state.db")
	st := mustOpen(t, path)
	write(t, st, 5)
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	var err error
	done := 5
	for range 500 { // until the log cannot grow
		if err = st.Update(t.Context(), func(tx store.Tx) error {
			return errors.Join(appendEvent(tx, 5000), appendEvent(tx, 5000))
		}); err != nil {
			break
		}
		done += 2
	}
	if !errors.Is(err, compute.ErrFailed) || !strings.Contains(compute.Hint(err), "the disk is full") {
		t.Fatalf("%v; hint %q", err, compute.Hint(err))
	}
	if n := count(t, st); n != done {
		t.Errorf("%d events, want %d", n, done)
	}
	if other, err := sqlite.Open(t.Context(), path, sqlite.Options{}); err != nil {
		t.Errorf("the state cannot be read on a full disk: %v", err)
	} else {
		if n := count(t, other); n != done {
			t.Errorf("another handle sees %d events, want %d", n, done)
		}
		other.Close()
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	write(t, st, 3)
	if n := count(t, st); n != done+3 {
		t.Errorf("%d events, want %d", n, done+3)
	}
	integrity(t, path)
}

// TestFullDiskAtFirst: where there is no room for a state file, none is half made.
func TestFullDiskAtFirst(t *testing.T) {
	dir, _ := mount(t, "size=200k,mode=700")
	path := filepath.Join(dir, "state.db")
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	refused(t, path, compute.ErrFailed, "the disk is full")
	if err := os.Truncate(ballast, 100<<10); err != nil {
		t.Fatal(err)
	}
	refused(t, path, compute.ErrFailed, "the disk is full")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if st, err := sqlite.Open(t.Context(), path, sqlite.Options{}); err == nil {
		st.Close() // where 200 kB are enough
	} else if !strings.Contains(compute.Hint(err), "the disk is full") {
		t.Error(err)
	}
}

// fill takes all the room there is.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

// TestReadOnly: a file system that cannot be written is said to be so.
func TestReadOnly(t *testing.T) {
	dir, remount := mount(t, "size=4m,mode=700")
	path := filepath.Join(dir, "state.db")
	st := mustOpen(t, path)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	remount("ro")
	refused(t, path, compute.ErrDenied, "XDG_STATE_HOME")
	refused(t, filepath.Join(dir, "new", "state.db"), compute.ErrDenied, "XDG_STATE_HOME")
	remount("rw")
	write(t, mustOpen(t, path), 1)
}

// TestNotOurs: a directory that one may not read, or not write.
func TestNotOurs(t *testing.T) {
	for name, mode := range map[string]fs.FileMode{"unreadable": 0o000, "read-only": 0o555} {
		for _, exists := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", name, exists), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "state")
				path := filepath.Join(dir, "state.db")
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				if exists {
					st, err := sqlite.Open(context.Background(), path, sqlite.Options{})
					if err != nil {
						t.Fatal(err)
					}
					if err := st.Close(); err != nil {
						t.Fatal(err)
					}
					if err := os.Chmod(path, 0o444); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.Chmod(dir, mode); err != nil {
					t.Fatal(err)
				}
				defer os.Chmod(dir, 0o700)
				asNobody(t, func() { refused(t, path, compute.ErrDenied, "XDG_STATE_HOME") })
			})
		}
	}
	t.Run("a file for a directory", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		put(t, path, nil)
		_, err := sqlite.Open(t.Context(), filepath.Join(path, "state.db"), sqlite.Options{})
		if !errors.Is(err, compute.ErrFailed) || !strings.Contains(err.Error(), "not a directory") {
			t.Error(err)
		}
	})
}
