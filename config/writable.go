package config

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// writableByOthers returns why a file or directory can be written by others than the user; "":
// it cannot. Anybody may leave a .hostler in /tmp. Root's files are trusted by all users. Root
// itself trusts only its own.
func writableByOthers(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return path + " cannot be looked at: " + withoutPath(err).Error()
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	// a group of the user's own, as most systems have
	private := st.Gid == st.Uid || st.Gid == 0
	switch mode := info.Mode().Perm(); {
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return path + " is another user's"
	case mode&0o002 != 0:
		return path + " can be written by everybody"
	case mode&0o020 != 0 && !private:
		return path + " can be written by others of its group"
	}
	return ""
}

// sourceWritable returns why a source of a tree, or a directory above it, can be written by
// others; "": it cannot.
func (p *rootDir) sourceWritable(s *Source) string {
	paths := []string{p.path}
	for dir := s.Dir; dir != p.path && len(dir) > len(p.path); dir = filepath.Dir(dir) {
		paths = append(paths, dir)
	}
	slices.Reverse(paths[1:])
	for _, path := range append(paths, s.File) {
		if why := writableByOthers(path); why != "" {
			return why
		}
	}
	return ""
}
