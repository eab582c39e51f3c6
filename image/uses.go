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

// Take returns the image of a name, pulled if it is not here, and marks it as used by dir, as Use
// does, before anybody could remove it.
func (s *Store) Take(ctx context.Context, ref, dir string, opt PullOptions) (Image, error) {
	opt.user = dir
	if s.opt.Others.Named(ctx, ref) { // before anything is looked at
		if _, err := parseOthers(ref, s.opt.Insecure); err != nil {
			return Image{}, err
		}
	}
	// what is found may be removed before it is marked; what is pulled is marked at once
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

// accepts reports whether what is here under a name will do where p is asked for.
func (p Platform) accepts(have Platform) bool { return have == (Platform{}) || have.suits(p.here()) }

// Use marks an image as used by dir, the directory of an instance, which must exist. Nothing of the
// image is removed until Release, or until dir is gone: so a mark needs no cleaning after a crash.
// Marking twice is marking once. The error is compute.ErrNotFound when the image is not here.
func (s *Store) Use(ctx context.Context, digest, dir string) error {
	if digest == "" { // a plain directory, which is not ours to keep or to remove
		return nil
	}
	l, err := s.lock(ctx, storeLock, shared)
	if err != nil {
		return failed("Use", digest, compute.ErrFailed, err, "")
	}
	defer l.unlock()
	if _, err := os.Lstat(s.imageFile(digest)); err != nil {
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
	if err := os.MkdirAll(s.usesDir(digest), 0o700); err != nil {
		return err
	}
	return s.writeJSON(filepath.Join(s.usesDir(digest), short(dir)), dir)
}

// Release takes the mark of Use away. It is not an error if there is none. It may write what is in
// memory to the disk, so it belongs into the background.
func (s *Store) Release(digest, dir string) error {
	if digest == "" {
		return nil
	}
	err := os.Remove(filepath.Join(s.usesDir(digest), short(dir)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed("Release", digest, compute.ErrFailed, err, "")
	}
	return s.settle(digest)
}

// Users returns the directories that an image is marked as used by and that still exist.
func (s *Store) Users(digest string) ([]string, error) {
	files, err := os.ReadDir(s.usesDir(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range files {
		var dir string
		mark := filepath.Join(s.usesDir(digest), f.Name())
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

func (s *Store) usesDir(digest string) string { return filepath.Join(s.dir, "uses", fileOf(digest)) }

// storeLock is held for moments: shared by who adds a mark or a record, alone by who removes one.
const storeLock = "store"

// settle writes an image to the disk for good if that was not done yet: until then it would not be
// believed after the next start of the machine.
func (s *Store) settle(digest string) error {
	var r record
	file := s.imageFile(digest)
	if readJSON(file, &r) != nil || r.Synced || !r.counts(s.boot) {
		return nil
	}
	if err := layer.Sync(s.dir); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), settlePatience)
	defer cancel()
	// all of them first: a layer that does not count is fetched anew, whoever uses it
	for _, layer := range r.Layers {
		if err := s.settleLayer(ctx, layer.DiffID); errors.Is(err, context.DeadlineExceeded) {
			return nil // another time
		} else if err != nil {
			return err
		}
	}
	l, err := s.lock(ctx, storeLock, exclusive)
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
	if err := s.writeJSON(file, r); err != nil {
		return err
	}
	return os.Chtimes(file, info.ModTime(), info.ModTime())
}

// settlePatience is how long settle waits for a lock that is held for moments, unless its holder
// was stopped.
const settlePatience = 5 * time.Second

func (s *Store) settleLayer(ctx context.Context, diffID string) error {
	l, err := s.lock(ctx, layerLock(diffID), shared)
	if err != nil {
		return err
	}
	defer l.unlock()
	rec, ok := s.readLayer(diffID)
	if !ok || rec.Synced {
		return nil
	}
	rec.Synced = true
	return s.writeJSON(filepath.Join(s.layerDir(diffID), "record.json"), rec)
}
