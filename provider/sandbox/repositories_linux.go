package sandbox

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox/enter"
	"github.com/hostler-project/hostler/provider/sandbox/gittree"
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
	all := gittree.Nested(from, nestedDepth)
	if len(all) > nestedMost {
		return nil, &compute.Error{Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("%s holds %d repositories, and %d is the most", from, len(all), nestedMost),
			Hint: "share directories in it, or let the sandbox write them all: writable = .git"}
	}
	hooks, err := gittree.Hooks(from, m.p.o.Home, append([]string{filepath.Join(from, ".git")}, all...))
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
