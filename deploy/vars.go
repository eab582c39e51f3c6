package deploy

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// ParseVars parses words of KEY=VALUE; the last one of a key wins. repeated has the keys that were
// given more than once, in order. The error has no value, since that may be a secret.
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

// ConfigPath resolves a configuration directory of a command line: ~ is home, and a relative path
// is below dir. Leading ".." stay, so that links are followed first.
func ConfigPath(path, home, dir string) string {
	if path == "~" || strings.HasPrefix(path, "~/") {
		path = home + strings.TrimPrefix(path, "~")
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return dir + "/" + filepath.Clean(path)
}

// Destroyable reports whether a name has one of the prefixes that may be destroyed.
func Destroyable(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
