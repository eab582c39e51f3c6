package scan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// The guards against sending too much. Above warn there is a warning; above refuse the user must
// confirm with --large.
const (
	warnFiles   = 20_000
	warnBytes   = 1 << 30
	refuseFiles = 200_000
	refuseBytes = 20 << 30

	massDelete  = 200 // so many may be removed, whatever their share
	biggestDirs = 5   // how many are named
)

// A Weight is how much some entries have to send.
type Weight struct {
	Files int
	Bytes int64
	Dirs  []PathWeight // where most of it is: at most five, largest first
}

// A PathWeight is the weight of a file, or of what lies in a directory and below it.
type PathWeight struct {
	Path  string `json:"path"` // "." is the root
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// Weigh adds up the files among some entries. It names the directories where the contents branch:
// not one with nearly all in one directory below, and none below another named one.
func Weigh(entries []Entry) Weight {
	var w Weight
	dirs := map[string]*PathWeight{}
	for i := range entries {
		if e := &entries[i]; e.Kind == File {
			w.Files++
			w.Bytes += e.Size
			for dir := parent(e.Path); ; dir = parent(dir) {
				if dirs[dir] == nil {
					dirs[dir] = &PathWeight{Path: dir}
				}
				dirs[dir].Files++
				dirs[dir].Bytes += e.Size
				if dir == "." {
					break
				}
			}
		}
	}
	byFiles := w.Bytes <= warnBytes && w.Files > warnFiles
	measure := func(d *PathWeight) int64 {
		if byFiles {
			return int64(d.Files)
		}
		return d.Bytes
	}
	passed := map[string]bool{} // directories with nearly all in one below them
	for path, d := range dirs {
		if up := parent(path); path != "." && (up == "." || measure(d) >= measure(dirs[up])*4/5) {
			passed[up] = true
		}
	}
	var all []*PathWeight
	for path, d := range dirs {
		if !passed[path] {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b *PathWeight) int {
		return cmp.Or(cmp.Compare(measure(b), measure(a)), cmp.Compare(a.Path, b.Path))
	})
	for _, d := range all {
		within := slices.ContainsFunc(w.Dirs, func(o PathWeight) bool {
			return strings.HasPrefix(d.Path, o.Path+"/") || strings.HasPrefix(o.Path, d.Path+"/")
		})
		if !within && len(w.Dirs) < biggestDirs {
			w.Dirs = append(w.Dirs, *d)
		}
	}
	return w
}

// parent returns the directory of a path; "." for a name alone.
func parent(path string) string {
	if dir, _, ok := cutLast(path); ok {
		return dir
	}
	return "."
}

// Check returns an error if so much must not be sent unless large is set. Otherwise it returns a
// warning, or "".
func (w Weight) Check(large bool) (warning string, err error) {
	switch {
	case !large && (w.Files > refuseFiles || w.Bytes > refuseBytes):
		return "", refused("take out what does not belong there by .hostlerignore, or say --large", "%s", w)
	case w.Files > warnFiles || w.Bytes > warnBytes:
		return w.String(), nil
	}
	return "", nil
}

// String describes the amount and where most of it is.
func (w Weight) String() string {
	var dirs []string
	for _, d := range w.Dirs {
		dirs = append(dirs, fmt.Sprintf("%q %d files, %s", d.Path, d.Files, size(d.Bytes)))
	}
	return fmt.Sprintf("%d files, %s are to be sent; most of it: %s", w.Files, size(w.Bytes), strings.Join(dirs, "; "))
}

// Changes compares a tree with the last list of a workspace. It returns the entries to send, and
// how many paths will be removed. Equal size and time count as equal contents. Hidden paths are not
// removed.
func (t *Tree) Changes(last []Entry) (send []Entry, gone int) {
	same := func(a, b *Entry) bool {
		return a.Kind == b.Kind && a.Mode == b.Mode && a.Size == b.Size && a.ModTime == b.ModTime && a.Target == b.Target
	}
	n := 0
	vanished := func(e *Entry) {
		if _, hidden := slices.BinarySearch(t.Hidden, e.Path); !hidden {
			gone++
		}
	}
	for i := range t.Entries {
		e := &t.Entries[i]
		for ; n < len(last) && last[n].Path < e.Path; n++ {
			vanished(&last[n])
		}
		if n < len(last) && last[n].Path == e.Path {
			if n++; same(e, &last[n-1]) {
				continue
			}
		}
		send = append(send, *e)
	}
	for ; n < len(last); n++ {
		vanished(&last[n])
	}
	return send, gone
}

// CheckDeletes refuses to remove more than half of a workspace's last list, if that is more than
// 200 paths.
func CheckDeletes(had, vanish int, allow bool) error {
	if allow || vanish <= massDelete || vanish*2 <= had {
		return nil
	}
	return &compute.Error{Op: "sync", Kind: compute.ErrConflict,
		Err:  fmt.Errorf("%d of %d files that are there would be removed", vanish, had),
		Hint: "if they are to go: --allow-mass-delete"}
}

// size formats a number of bytes for the user.
func size(n int64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return fmt.Sprintf("%d bytes", n)
	}
	unit, value := 0, float64(n)/(1<<10)
	for value >= 1<<10 && unit < len(units)-1 {
		value /= 1 << 10
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}
