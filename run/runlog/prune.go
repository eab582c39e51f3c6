package runlog

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Limits say what is kept: whichever is reached first. 0: that one limits nothing.
type Limits struct {
	Age   time.Duration // since the start
	Runs  int
	Bytes int64 // of all together
}

// Pruned is what Prune has removed.
type Pruned struct {
	Runs  int
	Bytes int64
}

const (
	stampFile  = ".pruned"
	pruneEvery = time.Hour
	unborn     = time.Hour // a directory without a record is none's when it is older
	// one run of so many looks before that, so that many in an hour do not fill the disk
	pruneChance = 64
)

// Due reports whether it is time to prune, as somebody does every hour.
func (l *Log) Due(id string) bool {
	info, err := os.Stat(filepath.Join(l.Dir, stampFile))
	if err != nil || time.Since(info.ModTime()) > pruneEvery {
		return true
	}
	sum := 0
	for _, c := range id {
		sum = sum*31 + int(c)
	}
	return sum%pruneChance == 0
}

// Prune removes the oldest runs beyond the limits, never one that goes on. It may be called by many
// at once. all: everything that has ended goes.
func (l *Log) Prune(ctx context.Context, limits Limits, all bool) (out Pruned, err error) {
	// a failure shows below, or does not matter
	_ = os.WriteFile(filepath.Join(l.Dir, stampFile), nil, 0o600)
	_ = os.Chtimes(filepath.Join(l.Dir, stampFile), time.Time{}, time.Now())
	l.sweep()
	records, err := l.List()
	if err != nil {
		return out, err
	}
	var bytes int64
	for i, rec := range records { // the newest first
		if err := ctx.Err(); err != nil {
			return out, err
		}
		size := treeSize(filepath.Join(l.Dir, rec.ID))
		bytes += size
		over := all || limits.Age > 0 && time.Since(rec.Started) > limits.Age || limits.Runs > 0 && i >= limits.Runs ||
			limits.Bytes > 0 && bytes > limits.Bytes
		if !over || rec.State == Running || rec.State == Held {
			continue
		}
		if err := l.Remove(rec.ID); err != nil {
			return out, err
		}
		bytes -= size
		out.Runs++
		out.Bytes += size
	}
	return out, nil
}

// sweep removes what a process that was killed has left: directories that were going away, and
// those that never got a record that can be read.
func (l *Log) sweep() {
	entries, _ := os.ReadDir(l.Dir)
	for _, e := range entries {
		name := e.Name()
		info, err := e.Info()
		if err != nil || !e.IsDir() || time.Since(info.ModTime()) < unborn {
			continue
		}
		if id, _, ok := strings.Cut(strings.TrimPrefix(name, "."), "-"); ok && strings.HasPrefix(name, ".") && isID(id) {
			_ = os.RemoveAll(filepath.Join(l.Dir, name))
		} else if isID(name) && !l.alive(name) {
			if _, err := l.load(name); err != nil {
				_ = l.Remove(name)
			}
		}
	}
}

// treeSize counts the bytes of the files in a directory.
func treeSize(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}
