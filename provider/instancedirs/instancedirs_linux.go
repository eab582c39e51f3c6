package instancedirs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

var (
	ErrNone    = errors.New("there is no such instance")
	ErrForeign = errors.New("the directory is there, and not this installation's")
)

// Owner says whose a home is. The providers' markers embed it.
type Owner struct {
	Installation string `json:"installation"`
	Source       string `json:"source"`
	ID           string `json:"id"`
}

// Whose returns the owner. So a struct that embeds an Owner is a marker.
func (o Owner) Whose() Owner { return o }

// marker is what a provider writes about an instance, as JSON.
type marker interface{ Whose() Owner }

// Dir is the directory of a source's instances. Any number of goroutines and processes may use it
// at once.
type Dir[M marker] struct {
	Place                string // an absolute path, made when it is needed
	Installation, Source string // the owner of our homes in it
	Log                  *slog.Logger

	// InPlace makes homes where they stay, and marks them then. That is quicker than making them
	// elsewhere and renaming them. If the maker dies, its home has no marker and counts as none.
	// The next process that locks the home marks it or removes it.
	InPlace bool
	// Trust says what is wrong with Place. It is called before a home is locked. nil: nothing is
	// checked.
	Trust func() error
	// Before is called before something in the trash is deleted. nil: nothing is called.
	Before func(path string) error
	// Step is told of each step before it is done. An error ends the call as a kill would. nil:
	// nothing is told.
	Step func(name string) error
}

// Path returns the path of an instance's home.
func (d *Dir[M]) Path(id compute.ID) string { return filepath.Join(d.instances(), string(id)) }

func (d *Dir[M]) instances() string { return filepath.Join(d.Place, "instances") }

// Owner returns the owner of an instance of ours.
func (d *Dir[M]) Owner(id compute.ID) Owner { return Owner{d.Installation, d.Source, string(id)} }

// Plain reports whether a name can be the name of a home.
func Plain(id compute.ID) bool {
	s := string(id)
	return s != "" && len(s) <= 200 && s[0] != '.' && s[0] != '-' &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == '/' || r < ' ' || r == 127 })
}

// Full reports whether an error means that there is no room.
func Full(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
}

// Space returns the size in bytes of the file system that has the homes, used bytes included. 0: it
// is not known.
func (d *Dir[M]) Space() int64 {
	var at unix.Statfs_t
	for dir := d.instances(); ; dir = filepath.Dir(dir) {
		if err := unix.Statfs(dir, &at); err == nil {
			return int64(at.Blocks) * at.Bsize
		} else if !errors.Is(err, unix.ENOENT) || dir == filepath.Dir(dir) {
			return 0
		}
	}
}

// Look reads the marker in a home, whoever its owner is. ErrNone: there is none. ErrForeign: the
// marker is not of this kind.
func (d *Dir[M]) Look(name string) (m M, err error) {
	b, err := os.ReadFile(filepath.Join(d.instances(), name, "owner"))
	// an empty marker is about to be written, or its writer died
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || err == nil && len(b) == 0 {
		return m, ErrNone
	}
	if err != nil {
		return m, err
	}
	if json.Unmarshal(b, &m) != nil {
		return m, ErrForeign
	}
	return m, nil
}

// ours reads an instance's marker. It returns ErrNone for an id that can be no directory's name,
// and ErrForeign for another owner's instance.
func (d *Dir[M]) ours(id compute.ID) (M, error) {
	if !Plain(id) {
		var none M
		return none, ErrNone
	}
	m, err := d.Look(string(id))
	if err == nil && m.Whose() != d.Owner(id) {
		err = ErrForeign
	}
	return m, err
}

// Read reads the marker of an instance. ErrNone: there is none that is ours.
func (d *Dir[M]) Read(id compute.ID) (M, error) {
	m, err := d.ours(id)
	if errors.Is(err, ErrForeign) {
		err = ErrNone
	}
	return m, err
}

// List returns the markers of all instances that are ours.
func (d *Dir[M]) List() ([]M, error) {
	entries, err := os.ReadDir(d.instances())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []M
	for _, e := range entries {
		if m, err := d.ours(compute.ID(e.Name())); err == nil {
			out = append(out, m)
		}
	}
	return out, nil
}

// Write replaces an instance's marker atomically. The caller holds the lock of the home.
func (d *Dir[M]) Write(m M) error { return write(d.Path(compute.ID(m.Whose().ID)), m) }

// write replaces a marker by a rename, so that a reader sees the old or the new one. It does not
// sync.
func write(home string, marker any) error {
	b, err := json.Marshal(marker)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(home, "owner.new"), b, 0o600); err != nil {
		return err
	}
	return os.Rename(filepath.Join(home, "owner.new"), filepath.Join(home, "owner"))
}

// Make makes an instance's home, unless it exists, and locks it. Closing the returned file unlocks
// it. The returned marker is the one that the first maker wrote. ErrForeign: a home of that name
// exists and is not ours.
func (d *Dir[M]) Make(ctx context.Context, m M) (*os.File, M, error) {
	id := compute.ID(m.Whose().ID)
	if m.Whose() != d.Owner(id) || !Plain(id) {
		return nil, m, fmt.Errorf("%w: %+v", ErrForeign, m.Whose())
	}
	for {
		err := ctx.Err()
		if err == nil && d.InPlace {
			err = d.beginInPlace(id)
		} else if err == nil {
			err = d.begin(id, m)
		}
		if err != nil {
			return nil, m, err
		}
		f, got, err := d.lock(ctx, id, &m)
		if !errors.Is(err, ErrNone) { // it was destroyed while we waited for its lock
			return f, got, err
		}
	}
}

// begin makes a home with its marker in one step, unless it exists.
func (d *Dir[M]) begin(id compute.ID, m M) error {
	if _, err := os.Lstat(d.Path(id)); err == nil {
		return nil
	}
	if err := d.at("begin"); err != nil {
		return err
	}
	if err := os.MkdirAll(d.instances(), 0o700); err != nil {
		return err
	}
	if err := d.trusted(); err != nil { // another process may have made it
		return err
	}
	made, err := os.MkdirTemp(d.Place, "new-*")
	if err != nil {
		return err
	}
	if err := write(made, m); err != nil {
		return err
	}
	if err := d.at("name"); err != nil {
		return err
	}
	err = unix.Renameat2(unix.AT_FDCWD, made, unix.AT_FDCWD, d.Path(id), unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EEXIST) { // another process was faster
		return os.RemoveAll(made)
	}
	return err
}

// beginInPlace makes a home without a marker, unless it exists.
func (d *Dir[M]) beginInPlace(id compute.ID) error {
	if err := d.at("begin"); err != nil {
		return err
	}
	err := os.Mkdir(d.Path(id), 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(d.instances(), 0o700); err == nil {
			err = os.Mkdir(d.Path(id), 0o700)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return err
}

func (d *Dir[M]) at(step string) error {
	if d.Step == nil {
		return nil
	}
	return d.Step(step)
}

func (d *Dir[M]) trusted() error {
	if d.Trust == nil {
		return nil
	}
	return d.Trust()
}
