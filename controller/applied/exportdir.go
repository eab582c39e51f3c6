package applied

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/store"
)

// ExportDir shows the state of a store as a directory of configuration, Path. It contains
// nothing that is not in the store. Several processes may use one Mirror. A reader sees a whole
// revision, as a link is replaced atomically.
type ExportDir struct {
	Dir string
	// called after each step, for tests that kill the process there; nil: not called
	Step func(step string)
}

func (m ExportDir) step(name string) {
	if m.Step != nil {
		m.Step(name)
	}
}

// tryKept is how long a directory of Try may be in use; an older one is a dead process's.
const tryKept = time.Hour

// current is the link to the directory of the shown revision.
const current = "current"

// Path returns the directory of configuration. It does not exist before something is applied.
func (m ExportDir) Path() string { return filepath.Join(m.Dir, current) }

// Mark returns the mark of the shown state, unique to it; "": nothing is shown. Read it before the
// directory: if the mark has changed afterwards, the state may have changed during the read. A
// broken link shows nothing, as a cleaner of old files may have removed its target.
func (m ExportDir) Mark() string {
	name, err := os.Readlink(m.Path())
	if err == nil {
		_, err = os.Stat(m.Path())
	}
	if err != nil {
		return ""
	}
	return name
}

// Sync makes the mirror show the current state of the store.
func (m ExportDir) Sync(ctx context.Context, s store.Transactor) error {
	at, err := latest(ctx, s)
	if err != nil || at.mark == m.Mark() {
		return err
	}
	if err := os.MkdirAll(m.Dir, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(m.Dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := flock(ctx, lock); err != nil {
		return err
	}
	set, at, err := read(ctx, s, true) // again: the shown state must never go back
	if err != nil || at.mark == m.Mark() {
		return err
	}
	if at.mark == "" {
		return os.Remove(m.Path()) // another store without applied things
	}
	dir, err := m.fill("new", set.Things)
	if err != nil {
		return fmt.Errorf("show what was applied: %w", err)
	}
	name := at.mark
	link := filepath.Join(m.Dir, "link")
	for _, do := range []func() error{
		// leftovers of a dead process
		func() error { return os.RemoveAll(filepath.Join(m.Dir, name)) },
		func() error { return absent(os.Remove(link)) },
		func() error { return os.Rename(dir, filepath.Join(m.Dir, name)) },
		func() error { return os.Symlink(name, link) },
		func() error { return syncDir(m.Dir) },
		func() error { return os.Rename(link, m.Path()) },
		func() error { return syncDir(m.Dir) },
	} {
		m.step("show")
		if err := do(); err != nil {
			return fmt.Errorf("show what was applied: %w", err)
		}
	}
	entries, _ := os.ReadDir(m.Dir) // leftovers are removed next time
	for _, e := range entries {
		n := e.Name()
		if !e.IsDir() || n == name {
			continue
		}
		if info, err := e.Info(); strings.HasPrefix(n, "try-") && (err != nil || time.Since(info.ModTime()) < tryKept) {
			continue // in use
		}
		_ = os.RemoveAll(filepath.Join(m.Dir, n))
	}
	return nil
}

// Try shows things in a directory of their own until done is called.
func (m ExportDir) Try(things []api.AppliedThing) (dir string, done func(), err error) {
	if err := os.MkdirAll(m.Dir, 0o700); err != nil {
		return "", nil, err
	}
	if dir, err = m.fill("try", things); err != nil {
		return "", nil, fmt.Errorf("look at what would be applied: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

// fill writes things to a new directory, and syncs it to disk.
func (m ExportDir) fill(what string, things []api.AppliedThing) (dir string, err error) {
	if dir, err = os.MkdirTemp(m.Dir, what+"-*"); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	made := map[string]bool{".": true}
	for _, t := range things {
		if err := checkName(t.Kind, t.Name); err != nil {
			return "", err
		}
		for _, f := range t.Files {
			if err := checkPath(f.Path); err != nil {
				return "", err
			}
			if err := put(root, objectPath(t.Kind, t.Name)+"/"+f.Path, f, made); err != nil {
				return "", err
			}
		}
	}
	for d := range made {
		err = errors.Join(err, syncDir(filepath.Join(dir, d)))
	}
	return dir, err
}

// put writes a file and the directories above it.
func put(root *os.Root, name string, f api.ThingFile, made map[string]bool) error {
	for d := filepath.Dir(name); !made[d]; d = filepath.Dir(d) {
		if err := root.MkdirAll(d, 0o700); err != nil {
			return err
		}
		made[d] = true
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(fileData(f))
	return errors.Join(err, file.Chmod(modeOf(f)), file.Sync(), file.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// flock waits for the lock of a file. The kernel releases it when the process ends.
func flock(ctx context.Context, f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
