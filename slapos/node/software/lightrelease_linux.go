package software

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/home"
)

// A kind is how a release is built.
type kind string

const (
	buildout  kind = "buildout"  // by a profile
	archive   kind = "archive"   // unpacked from a tar file
	directory kind = "directory" // copied
	bundles   kind = "bundle"    // rendered
	images    kind = "image"     // pulled
)

const (
	schemeBundle = "bundle:"
	schemeImage  = "oci://"

	// in the directory of a light release: its source, as JSON
	record    = ".hostler-release"
	installer = "install"  // a program there that is run once
	entry     = "instance" // a program there that is run in partitions
)

// lightRecord is the content of a light release's record.
type lightRecord struct {
	URL  string `json:"url"`
	Kind kind   `json:"kind"`
}

// kind is the kind of a release, by its URL or by the file at its path.
func (u *User) kind(url string) (kind, error) {
	switch {
	case strings.HasPrefix(url, schemeBundle):
		return bundles, nil
	case strings.HasPrefix(url, schemeImage):
		return images, nil
	case packed(url):
		return archive, nil
	case !filepath.IsAbs(url):
		return buildout, nil
	}
	of := buildout
	err := u.as(func() error {
		st, err := os.Stat(url)
		if err == nil && st.IsDir() {
			of = directory
		}
		return err
	})
	return of, err
}

// Light says whether a built release is of one of the lighter kinds: a partition then runs its
// program instance, and no buildout.
func (b *Builder) Light(url string) bool {
	st, err := os.Lstat(filepath.Join(b.Dir(url), record))
	return err == nil && st.Mode().IsRegular()
}

// tempNames are the names of a release in the making, and of a replaced one.
func (b *Builder) tempNames(url string) (next, old string) {
	root, sum := filepath.Split(b.Dir(url))
	return root + ".new-" + sum, root + ".old-" + sum
}

// light builds a release that needs no buildout: it is made beside its place, moved there whole,
// then installed. It replaces an earlier one in its place.
func (b *Builder) light(ctx context.Context, u *User, k kind, url string) error {
	dir := b.Dir(url)
	next, old := b.tempNames(url)
	fail := func(err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		kind := error(compute.ErrFailed)
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			kind = compute.ErrNoCapacity
		}
		for _, known := range []*compute.Kind{
			compute.ErrNoCapacity, compute.ErrNotFound, compute.ErrDenied, compute.ErrInvalid, compute.ErrUnavailable,
		} {
			if errors.Is(err, known) {
				kind = known
			}
		}
		return errors.Join(&compute.Error{Op: "software.Install", Kind: kind, Err: err}, b.discard(next))
	}
	if err := b.discard(next, old); err != nil {
		return err
	}
	if err := u.as(func() error { return os.Mkdir(next, 0o755) }); err != nil {
		return fail(err)
	}
	var err error
	switch k {
	case archive:
		err = b.unpack(ctx, u, url, next)
	case directory:
		err = u.as(func() error { return b.copy(ctx, url, next) })
	case bundles:
		err = b.bundle(ctx, u, strings.TrimPrefix(url, schemeBundle), next)
	default:
		err = b.image(ctx, u, strings.TrimPrefix(url, schemeImage), next, dir)
	}
	if err != nil {
		return fail(err)
	}
	text, err := json.Marshal(lightRecord{url, k})
	if err != nil {
		return fail(err)
	}
	err = u.as(func() error {
		if _, err := os.Lstat(filepath.Join(next, point)); k != images || err != nil {
			_ = os.RemoveAll(filepath.Join(next, point)) // ours alone
		}
		if k != images && !executable(filepath.Join(next, entry)) {
			return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("there is no program %q at the top of %s", entry, url)}
		}
		for _, name := range []string{completed, record} {
			if err := os.RemoveAll(filepath.Join(next, name)); err != nil {
				return err
			}
		}
		if err := put(filepath.Join(next, record), append(text, '\n'), 0o644); err != nil {
			return err
		}
		if err := os.Rename(dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Rename(next, dir)
	})
	if err = errors.Join(err, b.discard(old)); err != nil {
		return fail(err)
	}
	for _, name := range []string{bundled, installer} {
		install := false
		if err := u.as(func() error { install = executable(filepath.Join(dir, name)); return nil }); err != nil {
			return err
		}
		if !install {
			continue
		}
		out := &output{log: b.Log}
		err = b.run(ctx, u, step{dir: dir, of: dir, home: dir, what: "'" + name + "'", argv: []string{filepath.Join(dir, name)}}, out)
		if out.end(); err != nil {
			return err
		}
	}
	return nil
}

// executable says whether there is a program of a name, at the end of links too.
func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

// discard removes directories of the software root, whatever users own their content.
func (b *Builder) discard(dirs ...string) error {
	root, err := filepath.EvalSymlinks(b.Root)
	if err != nil {
		return &compute.Error{Op: "software.Remove", Kind: compute.ErrNotFound, Err: err}
	}
	d, err := home.Open(root)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		err = errors.Join(err, d.Remove(filepath.Base(dir)))
	}
	return errors.Join(err, d.Close())
}
