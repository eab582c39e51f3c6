package image

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image/layer"
)

// Take returns the image of a name, pulled if need be, and marks it as used by dir, as Use does,
// before another process could remove it.
func (s *Store) Take(ctx context.Context, ref, dir string, opt PullOptions) (Image, error) {
	opt.User = dir
	if s.opt.Others.Named(ctx, ref) { // before any look at files
		if _, err := parseOthers(s.opt.Registry, ref, s.opt.Insecure); err != nil {
			return Image{}, err
		}
	}
	// a found image may be removed before it is marked; a pulled one is marked at once
	for range 3 {
		img, err := s.Find(ref)
		if errors.Is(err, compute.ErrNotFound) || err == nil && !opt.Platform.accepts(img.Platform) {
			img, err = s.Pull(ctx, ref, opt)
		}
		if err != nil {
			return Image{}, err
		}
		err = s.Use(ctx, img.Digest, dir)
		if !errors.Is(err, compute.ErrNotFound) {
			return img, err
		}
	}
	return Image{}, failed("Take", ref, compute.ErrConflict, errors.New("it is removed again and again"), "")
}

// accepts reports whether a local image's platform suits a request for p.
func (p Platform) accepts(have Platform) bool { return have == (Platform{}) || have.suits(p.here()) }

// Use marks an image as used by dir, an instance's directory, which must exist. No part of the
// image is removed until Release, or until dir is gone, so a crash leaves nothing to clean. It may
// be repeated. The error is compute.ErrNotFound when the image is not here.
func (s *Store) Use(ctx context.Context, digest, dir string) error {
	if digest == "" { // a plain directory is not ours to keep or to remove
		return nil
	}
	l, err := s.tree.lock(ctx, storeLock, shared)
	if err != nil {
		return failed("Use", digest, compute.ErrFailed, err, "")
	}
	defer l.unlock()
	if _, err := os.Lstat(s.tree.imageFile(digest)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return failed("Use", digest, compute.ErrNotFound, errors.New("no image of this digest here"), "")
		}
		return failed("Use", digest, compute.ErrFailed, err, "")
	}
	if err := s.mark(digest, dir); err != nil {
		return failed("Use", digest, compute.ErrFailed, err, "")
	}
	return s.Touch(digest)
}

// mark writes the mark of a user. The caller has storeLock.
func (s *Store) mark(digest, dir string) error {
	if !filepath.IsAbs(dir) {
		return failed("Use", digest, compute.ErrInvalid, errors.New("the user's directory is not absolute: "+dir), "")
	}
	if err := os.MkdirAll(s.tree.usesDir(digest), 0o700); err != nil {
		return err
	}
	return s.tree.writeJSON(filepath.Join(s.tree.usesDir(digest), short(dir)), dir)
}

// Release removes the mark of Use, if there is one. It may sync files to the disk, so call it in
// the background.
func (s *Store) Release(digest, dir string) error {
	if digest == "" {
		return nil
	}
	err := os.Remove(filepath.Join(s.tree.usesDir(digest), short(dir)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed("Release", digest, compute.ErrFailed, err, "")
	}
	return s.settle(digest)
}

// Users returns the existing directories that an image is marked as used by.
func (s *Store) Users(digest string) ([]string, error) {
	files, err := os.ReadDir(s.tree.usesDir(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range files {
		var dir string
		mark := filepath.Join(s.tree.usesDir(digest), f.Name())
		if readJSON(mark, &dir) != nil {
			continue
		}
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(mark)
			continue
		}
		out = append(out, dir)
	}
	slices.Sort(out)
	return out, nil
}

// storeLock is held for moments: shared to add a mark or a record, exclusively to remove one.
const storeLock = "store"

// settle syncs an image to the disk, once. Until then it would not be trusted after the machine's
// next start.
func (s *Store) settle(digest string) error {
	var r record
	file := s.tree.imageFile(digest)
	if readJSON(file, &r) != nil || r.Synced || !r.counts(s.tree.boot) {
		return nil
	}
	if err := layer.Sync(s.tree.dir); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), settlePatience)
	defer cancel()
	// all of them first: a layer that does not count is fetched anew, whichever image uses it
	for _, layer := range r.Layers {
		if err := s.tree.settleLayer(ctx, layer.DiffID); errors.Is(err, context.DeadlineExceeded) {
			return nil // try another time
		} else if err != nil {
			return err
		}
	}
	l, err := s.tree.lock(ctx, storeLock, exclusive)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.unlock()
	info, err := os.Stat(file)
	if err != nil {
		return nil // removed meanwhile
	}
	r.Synced = true
	if err := s.tree.writeJSON(file, r); err != nil {
		return err
	}
	return os.Chtimes(file, info.ModTime(), info.ModTime())
}

// settlePatience is how long settle waits for a lock. Locks are held for moments, unless the holder
// was stopped.
const settlePatience = 5 * time.Second

// settleLayer records that a layer is on the disk, after the caller has synced it. A layer that
// is not here is no error.
func (t *tree) settleLayer(ctx context.Context, diffID string) error {
	l, err := t.lock(ctx, layerLock(diffID), shared)
	if err != nil {
		return err
	}
	defer l.unlock()
	rec, ok := t.readLayer(diffID)
	if !ok || rec.Synced {
		return nil
	}
	rec.Synced = true
	return t.writeJSON(filepath.Join(t.layerDir(diffID), "record.json"), rec)
}
