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

// Repositories further down in writable shares: git enters submodules by itself, and runs what
// their configuration names.
const (
	nestedDepth = 3  // directories down; deeper ones are left alone
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
	hooks, err := hookDirs(from, m.p.o.Home, append([]string{filepath.Join(from, ".git")}, all...))
	if err != nil {
		return nil, err
	}
	keep := map[string]bool{} // by repository: whether it may be written
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

// inGuarded reports whether a path is, or lies in, a name that is guarded at the top anyway.
func (m *making) inGuarded(rel string) bool {
	top, _, _ := strings.Cut(rel, "/")
	for _, g := range guarded {
		if g.name == top {
			return !slices.Contains(m.p.o.Writes, top)
		}
	}
	return false
}

// nestedRepositories lists the paths named .git below the top of a directory.
func nestedRepositories(dir string, depth int) (all []string) {
	entries, _ := os.ReadDir(dir) // the sandbox cannot write either to what cannot be read here
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

// The lines of git's configuration that name the hooks, and the working tree of a submodule.
var (
	hooksPath = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?im)^(?:\s*\[core\])?\s*hooksPath\s*=\s*"?([^"\n]*?)"?\s*$`)
	})
	workTree = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?im)^(?:\s*\[core\])?\s*worktree\s*=\s*"?([^"\n]*?)"?\s*$`)
	})
)

// mostGitConfig is the largest file of git's configuration that is read, in bytes.
const mostGitConfig = 1 << 20

// gitConfig reads a file of git's configuration; "": there is none.
func gitConfig(name string) string {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return ""
	}
	return readText(real, mostGitConfig)
}

// A repository has a directory of git's and the top of a working tree. A worktree has a part of the
// directory for itself.
type repository struct{ git, own, top string }

// repositoryAt returns the repository of a .git, which is a directory or a file that names one.
func repositoryAt(dotGit string) repository {
	r := repository{git: dotGit, own: dotGit, top: filepath.Dir(dotGit)}
	if to, ok := strings.CutPrefix(readSmall(dotGit), "gitdir: "); ok {
		r.own = resolved(r.top, strings.TrimSpace(to))
		r.git = r.own
	}
	if common := strings.TrimSpace(readSmall(filepath.Join(r.own, "commondir"))); common != "" {
		r.git = resolved(r.own, common)
	}
	return r
}

// resolved returns where a path leads from a directory.
func resolved(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// more lists the worktrees and the submodules that a repository knows of, and theirs, anywhere.
func (r repository) more() (all []repository) {
	known, _ := filepath.Glob(filepath.Join(escaped(r.git), "worktrees", "*"))
	for _, own := range known {
		if dotGit := strings.TrimSpace(readSmall(filepath.Join(own, "gitdir"))); dotGit != "" {
			all = append(all, repository{git: r.git, own: own, top: filepath.Dir(resolved(own, dotGit))})
		}
	}
	return append(all, submodules(filepath.Join(r.git, "modules"))...)
}

// submodules lists the repositories of submodules in a directory; their names may have slashes.
func submodules(dir string) (all []repository) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		at := filepath.Join(dir, e.Name())
		if !e.IsDir() {
			continue
		}
		if _, err := os.Lstat(filepath.Join(at, "HEAD")); err != nil {
			all = append(all, submodules(at)...)
			continue
		}
		r := repository{git: at, own: at, top: at}
		if found := workTree().FindStringSubmatch(gitConfig(filepath.Join(at, "config"))); found != nil {
			r.top = resolved(at, found[1])
		}
		all = append(append(all, r), r.more()...)
	}
	return all
}

// escaped quotes a path so that a pattern matches it alone.
func escaped(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// hookDirs lists the directories in a share from which repositories take their hooks: repositories
// in the share, and their worktrees and submodules. A relative path is below the top of each.
func hookDirs(share, home string, dotGits []string) ([]string, error) {
	var out []string
	var all []repository
	for _, at := range dotGits {
		r := repositoryAt(at)
		all = append(append(all, r), r.more()...)
	}
	for _, r := range all {
		if real, err := filepath.EvalSymlinks(r.top); err == nil {
			r.top = real // git's own records may use links above the share
		}
		text := gitConfig(filepath.Join(r.git, "config")) + "\n" + gitConfig(filepath.Join(r.own, "config.worktree"))
		for _, found := range hooksPath().FindAllStringSubmatch(text, -1) {
			at := resolved(r.top, found[1])
			if rest, ok := strings.CutPrefix(found[1], "~/"); ok && home != "" {
				at = filepath.Join(home, rest)
			}
			real, err := filepath.EvalSymlinks(at)
			if err != nil || !below(real, share) {
				continue
			}
			if real != at || real == share {
				return nil, &compute.Error{Kind: compute.ErrInvalid,
					Err:  fmt.Errorf("%s takes its hooks from %s, which cannot be kept from being replaced", r.own, at),
					Hint: "share it read-only, or let the sandbox write it: writable = .git"}
			}
			out = append(out, real)
		}
	}
	return out, nil
}
