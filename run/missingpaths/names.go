package missingpaths

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/hostler-project/hostler/text/visible"
)

// keyFor returns how a source's keys name a path, and whether they can. Commas, comments and
// newlines would break it.
func keyFor(p string) (string, bool) {
	if home := os.Getenv("HOME"); filepath.IsAbs(home) && strings.HasPrefix(p, filepath.Clean(home)+"/") {
		p = "~" + strings.TrimPrefix(p, filepath.Clean(home))
	}
	return p, utf8.ValidString(p) && visible.Line(p) == p && !strings.ContainsAny(p, ",;#\"'\\$:") && strings.TrimSpace(p) == p
}

// nearestKey returns the path, or the nearest directory above it that a source's key can name.
func nearestKey(p string) (as string, whole bool) {
	for dir := p; dir != "/"; dir = path.Dir(dir) {
		if as, ok := keyFor(dir); ok {
			return as, dir == p
		}
	}
	return "", false
}
