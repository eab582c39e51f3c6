package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// unfinished are names of files that are being written. One without a write for a day was left by a
// killed process.
const (
	unfinished = ".new-"
	forgotten  = 24 * time.Hour
)

// noteUse notes that a content was asked for: contents that were not for the longest time go first.
// Once an hour is enough.
func (d *cacheServer) noteUse(path string, info fs.FileInfo) {
	if now := time.Now(); d.Size > 0 && now.Sub(info.ModTime()) > time.Hour {
		_ = os.Chtimes(path, now, now) // else it goes sooner
	}
}

// makeRoom removes unfinished files, and contents until there is room for more bytes, the least
// recently used first. If a content cannot come from another cache again, its entries are removed
// too.
func (d *cacheServer) makeRoom(more int64) error {
	if d.Size <= 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	entries, err := os.ReadDir(d.Content)
	if err != nil {
		return err
	}
	var all []fs.FileInfo
	total := more
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue
		} else if err != nil {
			return err
		}
		switch {
		case strings.HasPrefix(e.Name(), unfinished) && time.Since(info.ModTime()) > forgotten:
			if err := os.Remove(filepath.Join(d.Content, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		case isHex(e.Name(), 128):
			all = append(all, info)
			total += info.Size()
		}
	}
	if total <= d.Size {
		return nil
	}
	slices.SortFunc(all, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range all {
		if total <= d.Size {
			break
		}
		if err := os.Remove(filepath.Join(d.Content, info.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		d.Log.Info("a content of the binary cache made room", "sha512", info.Name(), "bytes", info.Size())
		total -= info.Size()
	}
	if d.UpstreamContent != nil {
		return nil
	}
	files, err := os.ReadDir(d.Metadata)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Type().IsRegular() && !strings.HasPrefix(f.Name(), unfinished) {
			if _, err := d.prune(filepath.Join(d.Metadata, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
