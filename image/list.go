package image

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// List returns all local images, by name. One with several names comes several times, and one that
// lost its name once, without.
func (s *Store) List() ([]Image, error) {
	images, names, err := s.read()
	if err != nil {
		return nil, failed("List", "", compute.ErrFailed, err, "")
	}
	out := []Image{}
	named := map[string]bool{}
	for _, n := range names {
		if img, ok := images[n.Digest]; ok {
			img.Name = n.Name
			out = append(out, img)
			named[n.Digest] = true
		}
	}
	for digest, img := range images {
		if !named[digest] {
			out = append(out, img)
		}
	}
	slices.SortFunc(out, func(a, b Image) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Digest, b.Digest)) })
	return out, nil
}

// read reads all records of images, by digest, and all names.
func (s *Store) read() (map[string]Image, []nameRecord, error) {
	images := map[string]Image{}
	files, err := os.ReadDir(filepath.Join(s.tree.dir, "images"))
	if err != nil {
		return nil, nil, err
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".json")
		if !ok {
			continue
		}
		digest := strings.Replace(name, "-", ":", 1)
		img, err := s.image(digest)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile, or lost with the power
		}
		if err != nil {
			return nil, nil, err
		}
		images[digest] = img
	}
	if files, err = os.ReadDir(filepath.Join(s.tree.dir, "names")); err != nil {
		return nil, nil, err
	}
	var names []nameRecord
	for _, f := range files {
		var n nameRecord
		if readJSON(filepath.Join(s.tree.dir, "names", f.Name()), &n) == nil {
			names = append(names, n)
		}
	}
	return images, names, nil
}

// Touch marks an image as useful now, for GC's OlderThan.
func (s *Store) Touch(digest string) error {
	if digest == "" {
		return nil
	}
	now := time.Now()
	err := os.Chtimes(s.tree.imageFile(digest), now, now)
	if errors.Is(err, fs.ErrNotExist) {
		return failed("Touch", digest, compute.ErrNotFound, errors.New("no image of this digest here"), "")
	}
	return err
}
