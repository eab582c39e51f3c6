package sandbox

import (
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/provider/sandbox/gittree"
)

// hostImage is the name of the image that is the host's own root.
const hostImage = "host"

// HostRoot reports whether an image is this machine's own root, and which working tree of it is
// shown beside the system; "": none. Such an image is called host, or host:DIR.
func HostRoot(image string) (tree string, ok bool) {
	if rest, ok := strings.CutPrefix(image, hostImage+":"); ok && filepath.IsAbs(rest) {
		return filepath.Clean(rest), true
	}
	return "", image == hostImage
}

// WorkTree returns the image that shows a directory's working tree: git's top, else the directory.
// "": sandboxes show the directory anyway, or it may not be a tree.
func WorkTree(dir, home string, shown []string) string {
	if !filepath.IsAbs(dir) {
		return ""
	}
	dir = filepath.Clean(dir)
	for _, s := range append([]string{"/usr", "/etc", "/bin", "/sbin", "/lib"}, append(shown, fresh...)...) {
		if rest, ok := strings.CutPrefix(s, "~"); ok {
			s = home + rest
		}
		if below(dir, filepath.Clean(s)) && !below(home, s) {
			return ""
		}
	}
	if below(home, dir) || dir == "/" { // the table shows its parts of a home
		return ""
	}
	return hostImage + ":" + gittree.Top(dir, home)
}

// fresh are the places that begin empty in a sandbox of the host's root.
var fresh = []string{"/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp"}

// below reports whether path is dir or lies in it.
func below(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir) && path[len(dir)] == '/'
}
