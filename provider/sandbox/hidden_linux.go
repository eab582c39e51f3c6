package sandbox

import (
	"os"
	"path/filepath"
	"slices"
)

// hidden knows what a sandbox of the host's root does not show.
type hidden struct {
	dir     string   // of the layer that hides; "": nothing is hidden by one
	gone    []string // paths that are not there
	emptied []string // directories that are empty
	home    string   // the caller's home, if it lies in one of these; else ""
}

// layer returns the part of the layer that lies over a directory of the host's, or "".
func (h *hidden) layer(path string) string {
	if h.dir == "" {
		return ""
	}
	at := filepath.Join(h.dir, path)
	if fi, err := os.Lstat(at); err != nil || !fi.IsDir() {
		return ""
	}
	return at
}

// hides reports whether a path, or what it lies in, is not shown.
func (h *hidden) hides(path string) bool {
	in := func(dir string) bool { return below(path, dir) }
	return slices.ContainsFunc(h.gone, in) || slices.ContainsFunc(h.emptied, in)
}

// empty reports whether a path is a directory that is there, with nothing in it.
func (h *hidden) empty(path string) bool { return slices.Contains(h.emptied, path) }

// hidden returns what is not shown of the host.
func (p *Provider) hidden() (*hidden, error) { return &hidden{}, nil }
