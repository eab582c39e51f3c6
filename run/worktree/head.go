package worktree

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Head returns the commit that is checked out in a directory; "" if there is none. It does not run
// git.
func Head(dir string) string {
	for {
		at := filepath.Join(dir, ".git")
		info, err := os.Lstat(at)
		if err == nil && info.Mode().IsRegular() { // a linked work tree or a submodule
			text := readWord(at)
			rest, ok := strings.CutPrefix(text, "gitdir: ")
			if !ok {
				return ""
			}
			if at = rest; !filepath.IsAbs(at) {
				at = filepath.Join(dir, at)
			}
		}
		if err == nil {
			return readHead(at)
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
		dir = filepath.Dir(dir)
	}
}

// readHead reads the commit from a git directory.
func readHead(git string) string {
	head := readWord(filepath.Join(git, "HEAD"))
	ref, ok := strings.CutPrefix(head, "ref: ")
	if !ok {
		return commitName(head)
	}
	if !filepath.IsLocal(ref) {
		return ""
	}
	dirs := []string{git}
	if shared := readWord(filepath.Join(git, "commondir")); shared != "" {
		if !filepath.IsAbs(shared) {
			shared = filepath.Join(git, shared)
		}
		dirs = append(dirs, shared)
	}
	for _, dir := range dirs {
		if name := commitName(readWord(filepath.Join(dir, ref))); name != "" {
			return name
		}
	}
	for _, dir := range dirs {
		for line := range strings.Lines(readText(filepath.Join(dir, "packed-refs"), 16<<20)) {
			if name, r, _ := strings.Cut(strings.TrimSpace(line), " "); r == ref {
				return commitName(name)
			}
		}
	}
	return ""
}

// readWord reads a small file that has one line.
func readWord(file string) string { return strings.TrimSpace(readText(file, 4096)) }

// readText reads the first bytes of a regular file; "" for anything else.
func readText(file string, most int64) string {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	data, _ := io.ReadAll(io.LimitReader(f, most))
	return string(data)
}

// commitName returns s if it is the name of a commit, else "".
func commitName(s string) string {
	if (len(s) != 40 && len(s) != 64) || strings.Trim(s, "0123456789abcdef") != "" {
		return ""
	}
	return s
}
