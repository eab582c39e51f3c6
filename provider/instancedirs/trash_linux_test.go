package instancedirs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/instancedirs"
)

// TestSweep: the old goes, what may still be at work stays, and so does what the provider says no
// to.
func TestSweep(t *testing.T) {
	d := open(t, t.TempDir(), false)
	d.Before = func(path string) error {
		if strings.Contains(path, "mounted") {
			return errDenied
		}
		return nil
	}
	at := func(name string) string { return filepath.Join(d.Place, name) }
	ago := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{"new-old", "new-young", "new-locked", "kept-old", "a/old", "b/old", "c/mounted"} {
		if err := os.MkdirAll(filepath.Join(at(name), "x", "y"), 0o700); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, "young") {
			if err := os.Chtimes(at(name), ago, ago); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(os.WriteFile(at("new-file"), nil, 0o600), os.Chtimes(at("new-file"), ago, ago)); err != nil {
		t.Fatal(err)
	}
	l, err := os.Open(at("new-locked"))
	if err == nil {
		err = instancedirs.Flock(t.Context(), l)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var where []string
	for _, name := range []string{"a/old", "b/old", "c/mounted"} {
		to, err := d.Throw(at(name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(at(name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was thrown away and is there", name)
		}
		if _, err := os.Stat(filepath.Join(to, "x", "y")); err != nil {
			t.Error(err)
		}
		where = append(where, to)
	}
	if _, err := d.Throw(at("a/old")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("thrown away twice: %v", err)
	}
	for _, name := range where[1:] {
		if err := os.Chtimes(name, ago, ago); err != nil {
			t.Fatal(err)
		}
	}
	there := func(names ...string) {
		t.Helper()
		for _, name := range append(names, "kept-old", "new-young", "new-locked") {
			if _, err := os.Lstat(at(name)); err != nil {
				t.Error(err)
			}
		}
		entries, _ := os.ReadDir(d.Place)
		trash, _ := os.ReadDir(at("trash"))
		if n := len(entries) + len(trash); n != len(names)+3+4 { // a, b, c, trash
			t.Errorf("there is %v, and in the trash %v", entries, trash)
		}
	}
	rel := func(name string) string { return "trash/" + filepath.Base(name) }
	d.Sweep(t.Context(), 10*time.Minute)
	// what was thrown away just now, however old it is, is left to whoever did it
	there(rel(where[0]), rel(where[2]))
	d.Sweep(t.Context(), 0)
	there(rel(where[2]))
	d.Before = nil
	d.Sweep(t.Context(), 0)
	if _, err := os.Lstat(at("trash")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the trash is empty and there: %v", err)
	}
}

// again runs the test again in another process, as another user or in a mount name space of its
// own, where it finds true. In the first it finds false: it has nothing left to do.
func again(t *testing.T, attr *syscall.SysProcAttr) bool {
	t.Helper()
	const inner = "HOSTLER_TEST_AGAIN"
	if os.Getenv(inner) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		if attr.Unshareflags != 0 {
			t.Skip("homes: only root makes mounts")
		}
		return true
	}
	dir, err := os.MkdirTemp("", "homes")
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := instancedirs.Remove(dir); err != nil {
			t.Error(err)
		}
	}()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env, cmd.Dir, cmd.SysProcAttr = []string{inner + "=yes", "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH")}, dir, attr
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in a process of its own: %v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("--- PASS")) {
		t.Skipf("homes: %s", out)
	}
	return false
}

var nobody = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}

// gone fails unless a path is not there.
func gone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there: %v", path, err)
	}
}

// TestHostileTrees deletes what a malicious program leaves in its home, as an ordinary user.
func TestHostileTrees(t *testing.T) {
	if !again(t, nobody) {
		return
	}
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := errors.Join(os.MkdirAll(filepath.Join(precious, "sub"), 0o700), os.Chmod(precious, 0o500)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(precious, 0o700) }()
	before := tree(t, precious)
	name := strings.Repeat("n", 255)
	at := func(names ...string) string { return filepath.Join(append([]string{dir, "tree"}, names...)...) }
	hostile := map[string]func() error{
		"nothing": func() error { return os.Mkdir(at(), 0o700) },
		"a file":  func() error { return os.WriteFile(at(), nil, 0) },
		"a link":  func() error { return os.Symlink(precious, at()) },
		"a pipe":  func() error { return unix.Mkfifo(at(), 0) },
		"links": func() error {
			return errors.Join(os.MkdirAll(at("a", "b"), 0o700), os.Symlink(precious, at("l")), os.Symlink(precious, at("a", "l")), os.Symlink("..", at("a", "b", "l")),
				os.Symlink(precious+"/sub", at("a", "b", "sub")))
		},
		"modes": func() error {
			err := errors.Join(
				os.MkdirAll(at("a", "b", "c", "d"), 0o700), os.WriteFile(at("a", "b", "c", "f"), nil, 0),
				os.WriteFile(at("f"), nil, 0),
			)
			for _, p := range []string{at("a", "b", "c", "d"), at("a", "b", "c"), at("a", "b"), at("a"), at()} {
				err = errors.Join(err, os.Chmod(p, 0))
			}
			return err
		},
		"half modes": func() error {
			return errors.Join(os.MkdirAll(at("a", "b", "c"), 0o700), os.MkdirAll(at("x", "y", "z"), 0o700), os.Chmod(at("a", "b"), 0o500), os.Chmod(at("a"), 0o500),
				os.Chmod(at("x", "y"), 0o300), os.Chmod(at("x"), 0o300), os.Chmod(at(), 0o500))
		},
		"names": func() error {
			err := os.MkdirAll(at("up-1", "up-2", "up-3"), 0o700)
			for n := range 20 {
				dir := at("-rf\n", name, fmt.Sprint("\xff", n))
				err = errors.Join(
					err, os.MkdirAll(filepath.Join(dir, "up-1"), 0o700),
					os.WriteFile(filepath.Join(dir, "up-1", name), nil, 0),
				)
			}
			return err
		},
		"many": func() error {
			err := os.MkdirAll(at("wide"), 0o700)
			for n := range 3000 {
				err = errors.Join(err, os.WriteFile(at(fmt.Sprint(n)), nil, 0), os.Mkdir(at("wide", fmt.Sprint(n)), 0o700))
				if n%100 == 0 {
					err = errors.Join(err, os.MkdirAll(at("wide", fmt.Sprint(n), "a", "b"), 0o700))
				}
			}
			return err
		},
		"deep": func() error { return deep(at(), name[:200], 500) },
	}
	var few, files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	few = unix.Rlimit{Cur: 64, Max: files.Max}
	for what, build := range hostile {
		t.Run(what, func(t *testing.T) {
			if err := build(); err != nil {
				t.Fatal(err)
			}
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
				t.Fatal(err)
			}
			err := instancedirs.Remove(at())
			if err := errors.Join(err, unix.Setrlimit(unix.RLIMIT_NOFILE, &files)); err != nil {
				t.Fatal(err)
			}
			gone(t, at())
			if now := tree(t, precious); !slices.Equal(now, before) {
				t.Errorf("where a link leads there was %v, and is %v", before, now)
			}
			if fi, err := os.Stat(precious); err != nil || fi.Mode().Perm() != 0o500 {
				t.Errorf("where a link leads: %v, %v", fi.Mode(), err)
			}
			if err := instancedirs.Remove(at()); err != nil {
				t.Errorf("what is gone: %v", err)
			}
		})
	}
}

// deep makes directories in directories, with a file in each.
func deep(top, name string, depth int) error {
	if err := os.Mkdir(top, 0o700); err != nil {
		return err
	}
	at, err := unix.Open(top, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for range depth {
		if err == nil {
			err = unix.Mkdirat(at, name, 0o700)
		}
		if err == nil {
			err = unix.Mknodat(at, "f", unix.S_IFREG, 0)
		}
		next := -1
		if err == nil {
			next, err = unix.Openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		}
		_ = unix.Close(at)
		at = next
	}
	_ = unix.Close(at)
	return err
}

// TestRemoveTogether has many delete the same trees at once: none of them stumbles over another.
func TestRemoveTogether(t *testing.T) {
	for range 5 {
		top := filepath.Join(t.TempDir(), "tree")
		for n := range 30 {
			for _, sub := range []string{"a/b/c/d", "a/e/f", "g"} {
				if err := os.MkdirAll(filepath.Join(top, fmt.Sprint(n), sub), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(top, fmt.Sprint(n), "a/b/f"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				if err := instancedirs.Remove(top); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		gone(t, top)
	}
}

// TestMounts: what is mounted in a tree is not looked into; and a layer whose directories cannot be
// renamed is deleted all the same.
func TestMounts(t *testing.T) {
	if !again(t, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}) {
		return
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(
		unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""), unix.Mount("none", dir, "tmpfs", 0, "mode=755"),
	); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	for _, inside := range []string{"tree", "tree/a", "tree/a/b", "tree/a/b/c"} {
		err := errors.Join(
			os.MkdirAll(at("precious/sub"), 0o700), os.WriteFile(at("precious/sub/file"), nil, 0o600),
			os.MkdirAll(at(inside), 0o700),
		)
		if err = errors.Join(err, unix.Mount(at("precious"), at(inside), "", unix.MS_BIND, "")); err != nil {
			t.Fatal(err)
		}
		if err := instancedirs.Remove(at("tree")); !errors.Is(err, unix.EBUSY) {
			t.Errorf("a mount at %s: %v", inside, err)
		}
		if _, err := os.Stat(at("precious/sub/file")); err != nil {
			t.Fatalf("deleted through the mount at %s: %v", inside, err)
		}
		// It may have been moved up: it is wherever it is mounted now.
		text, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); strings.HasPrefix(f[4], at("tree")) {
				if err := unix.Unmount(f[4], unix.UMOUNT_NOFOLLOW); err != nil {
					t.Error(err)
				}
			}
		}
		if err := instancedirs.Remove(at("tree")); err != nil {
			t.Error(err)
		}
		gone(t, at("tree"))
	}
	for _, name := range []string{"lower/x/a/b/c/d", "lower/x/a/e/f", "lower/x/g/h/i", "upper", "work", "merged"} {
		if err := os.MkdirAll(at(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(at("lower/x/a/b/c/file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=off", at("lower"), at("upper"), at("work"))
	if err := unix.Mount("none", at("merged"), "overlay", 0, options); err != nil {
		t.Skipf("homes: no overlay here: %v", err)
	}
	if err := unix.Rename(at("merged/x/a/b"), at("merged/x/up")); !errors.Is(err, unix.EXDEV) {
		t.Fatalf("a lower directory is renamed: %v", err)
	}
	if err := instancedirs.Remove(at("merged/x")); err != nil {
		t.Error(err)
	}
	gone(t, at("merged/x"))
}
