package runlog

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Limits say how many runs are kept; each limit counts by itself. A zero field is no limit.
type Limits struct {
	Age   time.Duration // since the run's start
	Runs  int
	Bytes int64 // of all runs together
}

// Pruned says what Prune has removed.
type Pruned struct {
	Runs  int
	Bytes int64
}

const (
	stampFile  = ".pruned"
	pruneEvery = time.Hour
	unborn     = time.Hour // an older directory without a record has no process any more
	// one run in so many prunes earlier, so that many runs in an hour do not fill the disk
	pruneChance = 64
)

// Due reports whether it is time to prune, which is once an hour.
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

// Prune removes the oldest runs beyond the limits, but never a running one. With all, it removes
// every run that has ended. It may be called concurrently.
func (l *Log) Prune(ctx context.Context, limits Limits, all bool) (out Pruned, err error) {
	// a failure shows below or does not matter
	_ = os.WriteFile(filepath.Join(l.Dir, stampFile), nil, 0o600)
	_ = os.Chtimes(filepath.Join(l.Dir, stampFile), time.Time{}, time.Now())
	l.sweep()
	records, err := l.List()
	if err != nil {
		return out, err
	}
	var bytes int64
	for i, rec := range records { // newest first
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

// sweep removes what killed processes left: half-removed directories, and those without a readable
// record.
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
