package deploy

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// ParseVars reads KEY=VALUE words: cut at the first "=", the later one wins. repeated are the keys
// that were given more than once, in order. The error names no value, as that may be a secret.
func ParseVars(words []string) (vars map[string]string, repeated []string, err error) {
	vars = map[string]string{}
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			return nil, nil, &compute.Error{
				Kind: compute.ErrInvalid, Err: errors.New("a variable is KEY=VALUE, and one has no ="),
				Hint: "-t KEY=VALUE",
			}
		}
		if _, again := vars[key]; again {
			repeated = append(repeated, key)
		}
		vars[key] = value
	}
	return vars, repeated, nil
}

// ConfigPath is a configuration directory as it is meant on a command line: ~ is home, and a
// relative one is below dir. Leading ".." of a relative path stay as they are, so that they are
// taken where links lead.
func ConfigPath(path, home, dir string) string {
	if path == "~" || strings.HasPrefix(path, "~/") {
		path = home + strings.TrimPrefix(path, "~")
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return dir + "/" + filepath.Clean(path)
}

// Destroyable reports whether a name begins with one of the prefixes that are free to go.
func Destroyable(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
