package hook

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// record is which scripts are done, in the order in which they were. A count alone would mean
// others once a script has come or gone.
type record struct {
	path  string // "": kept nowhere
	names []string
}

// begin returns the record of a call: of the first n names that were noted, whatever a process that
// died had noted beyond them. Where fewer are there, since the file is lost or another machine's,
// the first n of the list of now stand for them.
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
	if err != nil { // then the count alone must do; a list that is too short, or none, says so
		_ = os.Remove(half)
		_ = os.Remove(r.path)
		err = fmt.Errorf("which scripts are done cannot be noted in %s: %w", filepath.Dir(r.path), err)
	}
	return len(r.names), err
}
