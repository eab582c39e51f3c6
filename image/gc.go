package image

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image/layer"
)

// GCOptions say which images may be removed. An image in use never is.
type GCOptions struct {
	// also images that were not taken for so long; 0: only those that lost their name
	OlderThan time.Duration
	Unused    bool             // all images, whatever their age
	Keep      func(Image) bool // images to keep whatever their age; nil: none
	DryRun    bool             // only report
}

// Collected reports the removed parts.
type Collected struct {
	Images []Image // with the name that each had
	Layers int     // directories of layers, with those of images that were removed before
	Size   int64   // bytes of their files
}

// GC removes useless images, the layers that no image needs any more, and the remains of killed
// processes.
func (s *Store) GC(ctx context.Context, opt GCOptions) (Collected, error) {
	var out Collected
	if !opt.DryRun {
		collector{s}.sweep()
	}
	images, names, err := s.read()
	if err != nil {
		return out, failed("GC", "", compute.ErrFailed, err, "")
	}
	name := map[string]string{}
	for _, n := range names {
		name[n.Digest] = n.Name
	}
	for digest, img := range images {
		img.Name = name[digest]
		old := opt.Unused || opt.OlderThan > 0 && time.Since(img.Used) > opt.OlderThan
		if img.Name != "" && !old || opt.Keep != nil && opt.Keep(img) {
			continue
		}
		gone, err := collector{s}.drop(ctx, img, opt.DryRun)
		if err != nil {
			return out, err
		}
		if gone {
			out.Images = append(out.Images, img)
		}
	}
	slices.SortFunc(out.Images, func(a, b Image) int { return strings.Compare(a.Name+a.Digest, b.Name+b.Digest) })
	if !opt.DryRun {
		for digest := range images {
			if err := s.settle(digest); err != nil {
				return out, failed("GC", "", compute.ErrFailed, err, "")
			}
		}
	}
	var without []Image
	if opt.DryRun { // else their records are gone, or one was pulled anew
		without = out.Images
	}
	out.Layers, out.Size, err = collector{s}.dropLayers(without, opt.DryRun)
	if err != nil {
		return out, failed("GC", "", compute.ErrFailed, err, "")
	}
	return out, nil
}

// A collector removes from a store what is useless.
type collector struct{ s *Store }

// drop removes the record of an image and its names, unless it was used or touched meanwhile.
func (c collector) drop(ctx context.Context, img Image, dry bool) (bool, error) {
	l, err := c.s.tree.lock(ctx, storeLock, exclusive)
	if err != nil {
		return false, err
	}
	defer l.unlock()
	users, err := c.s.Users(img.Digest)
	if err != nil {
		return false, failed("GC", img.Digest, compute.ErrFailed, err, "")
	}
	now, err := c.s.image(img.Digest)
	if len(users) > 0 || err != nil || now.Used.After(img.Used) {
		return false, nil
	}
	if dry {
		return true, nil
	}
	return true, c.s.forget(img.Digest)
}

// forget removes the record of an image, its names and its marks. The caller holds storeLock
// exclusively.
func (s *Store) forget(digest string) error {
	if err := os.Remove(s.tree.imageFile(digest)); err != nil {
		return err
	}
	_ = os.RemoveAll(s.tree.usesDir(digest))
	_ = layer.RemoveTree(s.tree.patchDir(digest))
	_, names, err := s.read()
	for _, n := range names {
		if n.Digest == digest {
			err = errors.Join(err, os.Remove(s.tree.nameFile(n.Name)))
		}
	}
	return err
}

// Remove removes a name, and with an image's last name the image and its unshared layers. The error
// is compute.ErrConflict while it is in use, and names the user.
func (s *Store) Remove(ctx context.Context, ref string) error {
	img, err := s.Find(ref)
	if err != nil {
		return err
	}
	if img.Digest == "" {
		return failed(
			"Remove", img.Name, compute.ErrInvalid, errors.New("it is a directory of yours, not one of the store's"),
			"rm removes it",
		)
	}
	if err := s.removeName(ctx, ref, img); err != nil {
		return failed("Remove", ref, compute.ErrFailed, err, "")
	}
	if _, _, err := (collector{s}).dropLayers(nil, false); err != nil {
		return failed("Remove", ref, compute.ErrFailed, err, "")
	}
	return nil
}

// removeName removes only the name if the image has others, unless ref is a digest. ErrConflict
// names the instances that use the image.
func (s *Store) removeName(ctx context.Context, ref string, img Image) error {
	l, err := s.tree.lock(ctx, storeLock, exclusive)
	if err != nil {
		return err
	}
	defer l.unlock()
	_, names, err := s.read()
	if err != nil {
		return err
	}
	others := slices.ContainsFunc(names, func(n nameRecord) bool { return n.Digest == img.Digest && n.Name != img.Name })
	if others && !strings.HasPrefix(ref, "sha256:") {
		return os.Remove(s.tree.nameFile(img.Name))
	}
	users, err := s.Users(img.Digest)
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return failed(
			"Remove", img.Name, compute.ErrConflict, errors.New("it is in use: "+strings.Join(users, ", ")),
			"discard these instances first",
		)
	}
	return s.forget(img.Digest)
}

// dropLayers removes the layers that no image needs. With dry it only counts. It treats the images
// in without as gone.
func (c collector) dropLayers(without []Image, dry bool) (n int, size int64, err error) {
	files, err := os.ReadDir(filepath.Join(c.s.tree.dir, "layers"))
	if err != nil {
		return 0, 0, err
	}
	// A pull holds its layers' locks until they are in a record. So first the locks, then the
	// records.
	locks := map[string]*lock{}
	defer func() {
		for _, l := range locks {
			l.unlock()
		}
	}()
	for _, f := range files {
		if diffID := strings.Replace(f.Name(), "-", ":", 1); strings.HasPrefix(diffID, "sha256:") {
			if l, err := c.s.tree.tryLock(layerLock(diffID), exclusive); err != nil {
				return 0, 0, err
			} else if l != nil {
				locks[diffID] = l
			}
		}
	}
	needed, err := c.needed(without)
	if err != nil {
		return 0, 0, err
	}
	var gone []string
	for diffID, l := range locks {
		if needed[diffID] {
			continue
		}
		rec, _ := c.s.tree.readLayer(diffID)
		n, size = n+1, size+rec.Size
		if dry {
			continue
		}
		old := filepath.Join(c.s.tree.dir, "layers", "old-"+fileOf(diffID)+"-"+randomName())
		if err := os.Rename(c.s.tree.layerDir(diffID), old); err != nil {
			return n, size, err
		}
		l.remove()
		delete(locks, diffID)
		gone = append(gone, old)
	}
	for _, dir := range gone {
		err = errors.Join(err, layer.RemoveTree(dir))
	}
	return n, size, err
}

// needed returns the layers that images name.
func (c collector) needed(without []Image) (map[string]bool, error) {
	images, _, err := c.s.read()
	if err != nil {
		return nil, err
	}
	for _, img := range without {
		delete(images, img.Digest)
	}
	needed := map[string]bool{}
	for _, img := range images {
		for _, l := range img.Layers {
			needed[l.DiffID] = true
		}
	}
	return needed, nil
}

// sweep removes the remains of killed processes: incomplete layers whose lock is free, partly
// removed ones, and unlocked temporary files.
func (c collector) sweep() {
	layers := filepath.Join(c.s.tree.dir, "layers")
	files, _ := os.ReadDir(layers)
	for _, f := range files {
		name := f.Name()
		if strings.HasPrefix(name, "old-") {
			_ = layer.RemoveTree(filepath.Join(layers, name))
		}
		key, ok := strings.CutPrefix(name, "new-")
		if at := strings.LastIndexByte(key, '-'); ok && at > 0 {
			if l, _ := c.s.tree.tryLock("layer-"+key[:at], exclusive); l != nil {
				_ = layer.RemoveTree(filepath.Join(layers, name))
				l.remove()
			}
		}
	}
	if l, _ := c.s.tree.tryLock(storeLock, exclusive); l != nil {
		c.sweepRecords()
		l.unlock()
	}
	tmp := filepath.Join(c.s.tree.dir, "tmp")
	files, _ = os.ReadDir(tmp)
	for _, f := range files {
		if info, err := f.Info(); err != nil || time.Since(info.ModTime()) < staleAfter {
			continue
		}
		file, err := os.Open(filepath.Join(tmp, f.Name()))
		if err != nil {
			continue
		}
		if flock(file, exclusive|lockNow) == nil {
			_ = layer.RemoveTree(file.Name())
		}
		_ = file.Close()
	}
}

// sweepRecords removes records of missing images and layers: lost with the power, or deleted by
// hand. The caller holds storeLock exclusively.
func (c collector) sweepRecords() {
	here := func(digest string) bool {
		_, err := c.s.image(digest)
		return !errors.Is(err, fs.ErrNotExist)
	}
	for dir, end := range map[string]string{"images": ".json", "uses": ""} {
		files, _ := os.ReadDir(filepath.Join(c.s.tree.dir, dir))
		for _, f := range files {
			name, ok := strings.CutSuffix(f.Name(), end)
			if !ok {
				name = strings.TrimSuffix(name, ".top")
			}
			if !here(strings.Replace(name, "-", ":", 1)) {
				_ = layer.RemoveTree(filepath.Join(c.s.tree.dir, dir, f.Name()))
			}
		}
	}
	files, _ := os.ReadDir(filepath.Join(c.s.tree.dir, "names"))
	for _, f := range files {
		var n nameRecord
		file := filepath.Join(c.s.tree.dir, "names", f.Name())
		if err := readJSON(file, &n); errors.Is(err, fs.ErrNotExist) || err == nil && !here(n.Digest) {
			_ = os.Remove(file)
		}
	}
}

// staleAfter is the age from which an unlocked temporary file has no owner. Below it the file may
// have been made and not locked yet.
const staleAfter = time.Minute
