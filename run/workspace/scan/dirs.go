package scan

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
)

// Places are the directories in which something can change a tree.
type Places struct {
	// absolute paths of directories that have, or may get, files of the tree
	Dirs []string
	Git  []string // absolute: directories of git in which a file named "index" says what is tracked
}

// Watched returns the places of a tree that a scan with these options returned. Directories that
// are ignored as a whole are left out.
func Watched(ctx context.Context, opt Options, tree *Tree) (Places, error) {
	s := &scanner{opt: opt, at: treeRoot{root: tree.Root}}
	if tree.Git {
		s.at.top = workTree(tree.Root)
	}
	root, err := openRoot(tree.Root)
	if err != nil {
		return Places{}, refused("", "%w", err)
	}
	defer root.Close()
	s.fd = int(root.Fd())
	if err := s.readRules(); err != nil {
		return Places{}, err
	}
	known := map[string]bool{}
	for i := range tree.Entries {
		e := &tree.Entries[i]
		if e.Kind == Dir {
			known[e.Path] = true
		}
		for dir, _, ok := cutLast(e.Path); ok && !known[dir]; dir, _, ok = cutLast(dir) {
			known[dir] = true
		}
	}
	var out Places
	level := []branch{{dir: "", top: s.at.top}}
	for len(level) > 0 {
		for i := range level {
			out.Dirs = append(out.Dirs, filepath.Join(tree.Root, level[i].dir))
			if own := filepath.Join(tree.Root, level[i].dir); tree.Git && level[i].dir != "" {
				if _, err := gitDir(own); err == nil {
					level[i].top = own
				}
			}
			if git, err := gitDir(level[i].top); err == nil &&
				(level[i].dir == "" || level[i].top == filepath.Join(tree.Root, level[i].dir)) {
				out.Git = append(out.Git, git)
			}
		}
		if level, err = s.listBelow(ctx, level, known); err != nil {
			return Places{}, err
		}
	}
	return out, nil
}

// branch is a directory of a tree, with the top of its git work tree.
type branch struct{ dir, top string }

// listBelow lists the directories below others, without those that git or the rules exclude.
func (s *scanner) listBelow(ctx context.Context, level []branch, known map[string]bool) ([]branch, error) {
	c := cursor{root: s.fd}
	defer c.close()
	var next []branch
	// by top: directories that have no files of the tree yet
	doubtful := map[string][]string{}
	for _, b := range level {
		entries, err := c.list(b.dir)
		if err != nil {
			continue // gone or unreadable: the scan reports that
		}
		for _, e := range entries {
			path := join(b.dir, e.Name())
			switch {
			case !e.IsDir(), neverSent(path, true), s.rules.out(path, true):
			case b.top == "" && isUnsentDir(e.Name()):
			case b.top == "", known[path], s.include.mayMatchBelow(path):
				next = append(next, branch{path, b.top})
			default:
				doubtful[b.top] = append(doubtful[b.top], path)
			}
		}
	}
	for top, dirs := range doubtful {
		ignored, err := s.ignored(ctx, top, dirs)
		if err != nil {
			return nil, err
		}
		for _, dir := range dirs {
			if !ignored[dir] {
				next = append(next, branch{dir, top})
			}
		}
	}
	return next, nil
}

// ignored asks git which directories of a work tree it ignores.
func (s *scanner) ignored(ctx context.Context, top string, dirs []string) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, gitPatience)
	defer cancel()
	cmd := gitCommand(ctx, s.at.root, "check-ignore", "-z", "--stdin")
	if top != s.at.top {
		cmd.Dir = top
	}
	var in, out, said bytes.Buffer
	from := map[string]string{} // the path as git sees it, to our path
	for _, dir := range dirs {
		rel, err := filepath.Rel(cmd.Dir, filepath.Join(s.at.root, dir))
		if err != nil {
			return nil, err
		}
		rel = "./" + rel // so that git takes no name for a pattern
		from[rel] = dir
		in.WriteString(rel + "\x00")
	}
	cmd.Stdin = &in
	cmd.Stdout, cmd.Stderr = &bounded{w: &out, left: gitWords}, &bounded{w: &said, left: 4 << 10, cut: true}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 { // none is ignored
		err = nil
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, gitFailed(cmd.Dir, err, said.String())
	}
	ignored := map[string]bool{}
	for _, rel := range fields(out.Bytes()) {
		ignored[from[strings.TrimSuffix(rel, "/")]] = true
	}
	return ignored, nil
}
