// Package gittree finds what git keeps on this machine: working trees, repositories in them, and
// the directories that hooks are taken from. Nothing that it reads is trusted.
package gittree

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Top returns the top of the git working tree that a directory is in, or the directory. A home is
// no top, nor is a directory that others could have made one: it would show its neighbours.
func Top(dir, home string) string {
	for at := dir; at != "/" && !inside(home, at); at = filepath.Dir(at) {
		if !ours(at) {
			break
		}
		text, isTop := gitFile(at)
		if strings.Contains(text, "/.git/modules/") { // a submodule: part of the tree above
			continue
		}
		if isTop {
			return at
		}
	}
	return dir
}

// ours reports whether a directory belongs to the caller, and others cannot write to it.
func ours(dir string) bool {
	var at unix.Stat_t
	return unix.Stat(dir, &at) == nil && at.Uid == uint32(os.Geteuid()) &&
		(at.Mode&0o022 == 0 || at.Mode&0o002 == 0 && at.Gid == uint32(os.Getegid()))
}

// gitFile reports whether a directory is the top of a git working tree of the caller's own. .git is
// a repository, or a file that names one, whose text it returns.
func gitFile(dir string) (text string, isTop bool) {
	var at unix.Stat_t
	git := filepath.Join(dir, ".git")
	if unix.Lstat(git, &at) != nil || at.Uid != uint32(os.Geteuid()) {
		return "", false
	}
	if at.Mode&unix.S_IFMT == unix.S_IFDIR {
		return "", unix.Lstat(filepath.Join(git, "HEAD"), &at) == nil
	}
	text = readSmall(git)
	return text, strings.HasPrefix(text, "gitdir: ")
}

// readSmall reads a small regular file; "": it is none. A tree may have anything there, such as a
// pipe that nobody writes to.
func readSmall(name string) string { return readText(name, 4096) }

// readText is readSmall with another limit, in bytes.
func readText(name string, most int64) string {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return ""
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return ""
	}
	return string(text)
}

// Dirs returns the directories of a working tree: itself, and git's own elsewhere. A tree may
// name anything there, so such a directory counts only where it names the tree.
func Dirs(tree string) []string {
	if tree == "" {
		return nil
	}
	out := []string{tree}
	link := filepath.Join(tree, ".git")
	rest, ok := strings.CutPrefix(readSmall(link), "gitdir: ")
	if !ok {
		return out
	}
	dir := strings.TrimSpace(rest)
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(tree, dir)
	}
	if filepath.Clean(strings.TrimSpace(readSmall(filepath.Join(dir, "gitdir")))) != link ||
		filepath.Base(filepath.Dir(dir)) != "worktrees" {
		return out
	}
	return append(out, filepath.Dir(filepath.Dir(dir)))
}
