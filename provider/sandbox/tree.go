package sandbox

import (
	"os"
	"path/filepath"
	"strings"
)

// hostImage is the image that is the host's own root.
const hostImage = "host"

// HostRoot reports whether an image is this machine's own root, and which working tree of it is shown beside the system; "": none. Such an image is called
// host, or host:DIR.
func HostRoot(image string) (tree string, ok bool) {
	if rest, ok := strings.CutPrefix(image, hostImage+":"); ok && filepath.IsAbs(rest) {
		return filepath.Clean(rest), true
	}
	return "", image == hostImage
}

// WorkTree returns the image that shows the working tree of a directory: what git has as its top, else the directory itself. "": without any tree all that is shown of it is.
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
	if below(home, dir) || dir == "/" { // what is in the home is shown by its table
		return ""
	}
	return hostImage + ":" + top(dir, home)
}

// top returns the top of the working tree of git that a directory is in, or the directory. A home is none.
func top(dir, home string) string {
	for at := dir; at != "/" && !below(home, at); at = filepath.Dir(at) {
		text, err := os.ReadFile(filepath.Join(at, ".git"))
		if err == nil && strings.Contains(string(text), "/.git/modules/") { // a part of the tree above
			continue
		}
		if _, serr := os.Lstat(filepath.Join(at, ".git")); serr == nil {
			return at
		}
	}
	return dir
}

// treeDirs are the directories of a working tree: it, and what git has of it elsewhere. A tree may name anything there, so it counts only where that names the tree.
func treeDirs(tree string) []string {
	if tree == "" {
		return nil
	}
	out := []string{tree}
	link := filepath.Join(tree, ".git")
	text, err := os.ReadFile(link)
	rest, ok := strings.CutPrefix(string(text), "gitdir: ")
	if err != nil || !ok {
		return out
	}
	dir := strings.TrimSpace(rest)
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(tree, dir)
	}
	back, err := os.ReadFile(filepath.Join(dir, "gitdir"))
	if err != nil || filepath.Clean(strings.TrimSpace(string(back))) != link || filepath.Base(filepath.Dir(dir)) != "worktrees" {
		return out
	}
	return append(out, filepath.Dir(filepath.Dir(dir)))
}

// fresh are the places of a sandbox of the host's root that begin empty.
var fresh = []string{"/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp"}

// below reports whether path is dir or lies in it.
func below(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir) && path[len(dir)] == '/'
}
