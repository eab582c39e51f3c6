package software

import (
	"context"
	"crypto/md5" // the format wants it; nothing is proved by it
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/policy/fetch"
)

const (
	completed = ".completed" // in a release's directory: when it was whole
	shared    = ".shared"    // there: it is not for the binary cache
)

// As runs file work with the rights of the software user. The work must not hand any of it to other
// goroutines.
type As func(work func() error) error

// A Builder builds releases in one software root. Its fields are set before the first call; one
// call at a time may be made, of all processes.
type Builder struct {
	Root           string   // an absolute path; its owner is the software user
	SharedParts    []string // directories of parts that releases share
	BuildTimeParts []string
	Buildout       string   // the program that bootstraps; "" is buildout on PATH
	NetworkCache   []string // OPTION=VALUE, of buildout's section networkcache
	// bytes that must be free before a release is built, and while a light one is unpacked
	Free    int64
	Debug   bool     // buildout is told so
	Force   bool     // build again, also a complete release
	Environ []string // the inherited environment; nil: our own

	// Guard judges the addresses that archives are fetched from, as the master's users choose them.
	// nil: all are allowed.
	Guard *fetch.Guard

	// Log takes a line about each act, and the lines that builds print, at once. It may be nil.
	Log func(line string)
	// Warn takes the lines about failures; nil: Log does.
	Warn func(line string)
	// Fetch puts a release into its directory from elsewhere, and says whether it did. It is asked
	// where the directory is not there. An error is the end of the attempt: nothing is built then.
	// nil: there is nowhere to fetch from.
	Fetch func(ctx context.Context, url, root string, as As) (bool, error)
	// Upload gives a release that was built here to others. Its error is logged only. nil: there is
	// no place to upload to.
	Upload func(ctx context.Context, url, dir string, as As) error
	// Bundles are those that releases may be made of. nil: none are.
	Bundles func() (bundle.Set, error)
	// Puller is the command that an image is laid out by, before its name and a directory: a
	// program that calls [LayImage]. It runs as the software user. nil: there are no images here.
	Puller []string
}

// Dir is the directory of a release.
func (b *Builder) Dir(url string) string {
	sum := md5.Sum([]byte(url))
	return filepath.Join(b.Root, hex.EncodeToString(sum[:]))
}

// Done says whether a release is whole.
func (b *Builder) Done(url string) bool {
	st, err := os.Lstat(filepath.Join(b.Dir(url), completed))
	return err == nil && st.Mode().IsRegular()
}

// Install builds a release, or fetches it. A failed build program is a *failure; too little room
// is ErrNoCapacity.
func (b *Builder) Install(ctx context.Context, url string) error {
	fail := func(kind error, err error) error {
		return &compute.Error{Op: "software.Install", Kind: kind, Err: err}
	}
	if i := strings.IndexFunc(url, unicode.IsControl); i >= 0 || strings.TrimSpace(url) != url || url == "" {
		return fail(compute.ErrInvalid, fmt.Errorf("%q is no URL of a release", url))
	}
	u, err := b.user()
	if err != nil {
		return err
	}
	if err := b.checkSpace(); err != nil {
		return err
	}
	dir := b.Dir(url)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) && b.Fetch != nil {
		if got, err := b.Fetch(ctx, url, b.Root, u.as); err != nil || got {
			return err
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(compute.ErrFailed, err)
	}
	if err := b.endLeftoverBuild(ctx, dir); err != nil {
		return err
	}
	kind, err := u.kind(url)
	if err != nil {
		return fail(compute.ErrNotFound, err)
	}
	if kind == buildout {
		err = b.buildout(ctx, u, url)
	} else {
		err = b.light(ctx, u, kind, url)
	}
	if err != nil {
		return err
	}
	if b.Upload != nil {
		if _, err := os.Lstat(filepath.Join(dir, shared)); err == nil {
			return nil
		}
		if err := b.Upload(ctx, url, dir, u.as); err != nil {
			b.say("The release was not given to the binary cache: %v", err)
		}
	}
	return ctx.Err()
}

// complete marks a release as whole.
func (b *Builder) complete(url string) error {
	u, err := b.user()
	if err != nil {
		return err
	}
	return u.as(func() error {
		return put(filepath.Join(b.Dir(url), completed), []byte(time.Now().Format(time.ANSIC)), 0o644)
	})
}

// checkSpace returns an error if there is too little free space.
func (b *Builder) checkSpace() error {
	var st unix.Statfs_t
	if err := unix.Statfs(b.Root, &st); err != nil {
		return &compute.Error{Op: "software.Install", Kind: compute.ErrNotFound, Err: fmt.Errorf("the software root %s: %w", b.Root, err)}
	}
	if free := int64(st.Bavail) * int64(st.Bsize); free < b.Free {
		return &compute.Error{Op: "software.Install", Kind: compute.ErrNoCapacity,
			Hint: "make room there, or set software_min_free_space lower",
			Err:  fmt.Errorf("%s has %d MiB free, and %d MiB must be", b.Root, free>>20, b.Free>>20)}
	}
	return nil
}

func (b *Builder) say(format string, args ...any) {
	if b.Log != nil {
		b.Log(fmt.Sprintf(format, args...))
	}
}

func (b *Builder) warn(format string, args ...any) {
	if b.Warn == nil {
		b.say(format, args...)
		return
	}
	b.Warn(fmt.Sprintf(format, args...))
}

func (b *Builder) environ() []string {
	if b.Environ != nil {
		return b.Environ
	}
	return os.Environ()
}

// put writes a file whole or not at all.
func put(path string, data []byte, mode fs.FileMode) error {
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		_ = os.Remove(next)
	}
	return err
}
