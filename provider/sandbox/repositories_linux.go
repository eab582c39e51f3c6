package sandbox

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox/enter"
)

// Repositories further down in what is shared to be written to: git enters submodules by itself,
// and runs what their configuration names.
const (
	nestedDepth = 3  // directories down; further ones are left alone
	nestedMost  = 64 // in one share
)

// guardRepositories makes the repositories below the top of a share read-only, and the
// directories of hooks that the configuration of any of them names.
func (m *making) guardRepositories(s share, from string) ([]enter.Piece, error) {
	if slices.Contains(m.p.o.Writes, ".git") {
		return nil, nil
	}
	all := nestedRepositories(from, nestedDepth)
	if len(all) > nestedMost {
		return nil, &compute.Error{Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("%s holds %d repositories, and %d is the most", from, len(all), nestedMost),
			Hint: "share directories in it, or let the sandbox write them all: writable = .git"}
	}
	hooks, err := hookDirs(from, append([]string{filepath.Join(from, ".git")}, all...))
	if err != nil {
		return nil, err
	}
	keep := map[string]bool{} // whether it may be written
	for _, at := range append(all, hooks...) {
		keep[at] = false
		// A directory on the way could be renamed with all that is in it.
		for up := filepath.Dir(at); up != from; up = filepath.Dir(up) {
			if _, ok := keep[up]; !ok {
				keep[up] = true
			}
		}
	}
	var out []enter.Piece
	for at, writable := range keep {
		if rel, err := filepath.Rel(from, at); err == nil && !m.inGuarded(rel) {
			out = append(out, enter.Piece{At: filepath.Join(s.to, rel), Kind: enter.Bind, Writable: writable})
		}
	}
	slices.SortFunc(out, func(a, b enter.Piece) int { return strings.Compare(a.At, b.At) })
	return out, nil
}

// inGuarded reports whether a path is, or lies in, what is guarded at the top anyway.
func (m *making) inGuarded(rel string) bool {
	top, _, _ := strings.Cut(rel, "/")
	for _, g := range guarded {
		if g.name == top {
			return !slices.Contains(m.p.o.Writes, top)
		}
	}
	return false
}

// nestedRepositories lists what has the name .git below the top of a directory.
func nestedRepositories(dir string, depth int) (all []string) {
	entries, _ := os.ReadDir(dir) // what cannot be read here is not written there either
	for _, e := range entries {
		if !e.IsDir() || e.Name() == ".git" || e.Name() == "node_modules" {
			continue
		}
		at := filepath.Join(dir, e.Name())
		if fi, err := os.Lstat(filepath.Join(at, ".git")); err == nil && fi.Mode()&fs.ModeSymlink == 0 {
			all = append(all, filepath.Join(at, ".git"))
		}
		if depth > 1 {
			all = append(all, nestedRepositories(at, depth-1)...)
		}
	}
	return all
}

// hooksPath is where a line of git's configuration has the hooks.
var hooksPath = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?im)^(?:\s*\[core\])?\s*hooksPath\s*=\s*"?([^"\n]*?)"?\s*$`)
})

// hookDirs lists the directories in a share from which repositories take their hooks.
func hookDirs(from string, repositories []string) ([]string, error) {
	var out []string
	for _, repo := range repositories {
		text, err := os.ReadFile(filepath.Join(repo, "config"))
		if err != nil {
			continue // none, or that of a submodule or a worktree, which is elsewhere
		}
		for _, found := range hooksPath().FindAllStringSubmatch(string(text), -1) {
			at := found[1]
			if !filepath.IsAbs(at) {
				at = filepath.Join(filepath.Dir(repo), at)
			}
			real, err := filepath.EvalSymlinks(at)
			if err != nil || !below(real, from) {
				continue
			}
			if real != at || real == from {
				return nil, &compute.Error{Kind: compute.ErrInvalid,
					Err:  fmt.Errorf("%s takes its hooks from %s, which cannot be kept from being replaced", repo, at),
					Hint: "share it read-only, or let the sandbox write it: writable = .git"}
			}
			out = append(out, real)
		}
	}
	return out, nil
}
