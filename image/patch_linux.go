package image

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/image/layer"
)

// makePatch makes the patch of an image, if it needs one. The caller has storeLock.
func (s *Store) makePatch(digest string, layers []layerRecord) (made bool, err error) {
	var dirs []string
	var implied []map[string]bool
	for _, l := range layers {
		names := map[string]bool{}
		for _, n := range l.Implied {
			names[n] = true
		}
		dirs, implied = append(dirs, filepath.Join(s.tree.layerDir(l.DiffID), "fs")), append(implied, names)
	}
	patch, err := layer.PatchOf(dirs, implied)
	if err != nil || len(patch) == 0 {
		return false, err
	}
	dir := filepath.Join(s.tree.dir, "tmp", "new-"+randomName())
	if err := os.MkdirAll(filepath.Join(dir, "fs"), 0o700); err != nil {
		return false, err
	}
	place := s.tree.patchDir(digest)
	err = layer.WritePatch(filepath.Join(dir, "fs"), patch, s.own)
	if err == nil {
		err = layer.RemoveTree(place) // of a record that is not valid
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(place), 0o700)
	}
	if err == nil {
		err = os.Rename(dir, place)
	}
	if err != nil {
		err = errors.Join(err, layer.RemoveTree(dir))
	}
	return err == nil, err
}
