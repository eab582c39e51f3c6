package gittree

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/compute"
)

// Nested lists the paths named .git below the top of a directory.
func Nested(dir string, depth int) (all []string) {
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
			all = append(all, Nested(at, depth-1)...)
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

// Hooks lists the directories in a share from which repositories take their hooks: repositories
// in the share, and their worktrees and submodules. A relative path is below the top of each.
func Hooks(share, home string, dotGits []string) ([]string, error) {
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
			if err != nil || !inside(real, share) {
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

// inside reports whether path is dir or lies in it.
func inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}
