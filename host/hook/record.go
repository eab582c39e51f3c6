package hook

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// record lists the scripts that are done, in order. Names are kept, as a count would mean other
// scripts after one was added or removed.
type record struct {
	path  string // "": not stored
	names []string
}

// begin returns the record of a call: the first n names of the file. Names beyond n are of a
// process that died and do not count. If the file has fewer, or is another machine's, the first n
// of list stand for them.
func begin(path string, n int, list []string) *record {
	r := &record{path: path}
	if n <= 0 {
		return r
	}
	if path != "" {
		if b, err := os.ReadFile(path); err == nil {
			r.names = strings.Fields(string(b))
		}
	}
	if len(r.names) < n {
		r.names = slices.Clone(list)
	}
	r.names = r.names[:min(n, len(r.names))]
	return r
}

func (r *record) has(name string) bool { return slices.Contains(r.names, name) }

// add notes that a script is done, and returns how many are.
func (r *record) add(name string) (int, error) {
	r.names = append(r.names, name)
	if r.path == "" {
		return len(r.names), nil
	}
	half := r.path + ".new"
	err := os.WriteFile(half, []byte(strings.Join(r.names, "\n")+"\n"), 0o600)
	if err == nil {
		err = os.Rename(half, r.path)
	}
	if err != nil { // a short or missing list shows that only the count is known
		_ = os.Remove(half)
		_ = os.Remove(r.path)
		err = fmt.Errorf("which scripts are done cannot be noted in %s: %w", filepath.Dir(r.path), err)
	}
	return len(r.names), err
}
