package hook

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Skipped is an entry of a hook directory that is not run.
type Skipped struct {
	Name string
	Why  string // a phrase: "not executable", "a broken link", ...
	Warn bool   // it looks like a hook that should run, so people should be told
}

// ValidName reports whether a hook may have a name: one or more of A-Z, a-z, 0-9, "_" and "-". So
// backups of editors and leftovers of packages (foo~, foo.dpkg-old) never run, nor does foo.sh.
func ValidName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return name != ""
}

// List returns the scripts of a directory in the order in which they run, and the entries that do
// not run. A missing directory is empty.
func List(dir string) (names []string, skipped []Skipped, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		name := e.Name()
		if !ValidName(name) {
			skipped = append(skipped, Skipped{Name: name, Why: "its name has other characters than A-Z a-z 0-9 _ -"})
			continue
		}
		info, err := os.Stat(filepath.Join(dir, name)) // follows links
		switch {
		case err != nil && e.Type()&fs.ModeSymlink != 0:
			skipped = append(skipped, Skipped{Name: name, Why: "a broken link", Warn: true})
		case errors.Is(err, fs.ErrNotExist): // gone since the directory was read
		case err != nil:
			return nil, nil, err
		case info.IsDir():
			skipped = append(skipped, Skipped{Name: name, Why: "a directory"})
		case !info.Mode().IsRegular():
			skipped = append(skipped, Skipped{Name: name, Why: "not a regular file"})
		case info.Mode()&0o111 == 0:
			skipped = append(skipped, Skipped{Name: name, Why: "not executable", Warn: true})
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names) // byte-wise, whatever the locale
	return names, skipped, nil
}
