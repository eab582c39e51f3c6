package scan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// treeRoot is the root of a tree and where the caller is in it.
type treeRoot struct {
	root string // the directory to send
	top  string // the top of the git work tree that root is in; "" if none
	sub  string // the caller's directory below root, with slashes; "" for root itself
}

// findRoot finds the root: Root if that is set, else the top of the git work tree around the
// caller's directory, else that directory.
func (o *Options) findRoot() (treeRoot, error) {
	var p treeRoot
	dir, err := realPath(o.Dir)
	if err != nil {
		return p, refused("", "the directory: %w", err)
	}
	p.root = dir
	if o.Root != "" {
		root := o.Root
		if !filepath.IsAbs(root) {
			root = filepath.Join(dir, root)
		}
		if p.root, err = realPath(root); err != nil {
			return p, refused("", "--root: %w", err)
		}
	}
	if !o.Plain {
		p.top = workTree(p.root)
		if p.top != "" && o.Root == "" {
			p.root = p.top
		}
	}
	if rel, err := filepath.Rel(p.root, dir); err == nil && rel != "." && rel != ".." && !strings.HasPrefix(rel, "../") {
		p.sub = filepath.ToSlash(rel)
	}
	return p, o.checkRoot(p)
}

// Where returns the directory that a scan would send and the caller's directory below it, without
// scanning: Tree.Root and Tree.Sub.
func (o *Options) Where() (root, sub string, err error) {
	p, err := o.findRoot()
	return p.root, p.sub, err
}

// checkRoot refuses roots that are hardly intended: the whole machine, and a home directory
// unless the user confirms it.
func (o *Options) checkRoot(p treeRoot) error {
	if p.root == "/" {
		return refused("say --root DIR", "/ is no working tree")
	}
	home := o.Home
	if home == "" {
		home, _ = os.UserHomeDir()
	}
	if home, err := realPath(home); err != nil || home != p.root && !strings.HasPrefix(home, p.root+"/") {
		return nil
	}
	switch {
	case o.Plain, o.Root != "" && p.top != "":
		return nil
	case p.top != "":
		return refused(
			"say --root DIR for what is below it; --root "+p.root+" means all of it",
			"the git work tree %s is your home directory, or has it within", p.root,
		)
	}
	return refused("change to the directory of your work, or say --sync=dir", "%s is your home directory, or has it within", p.root)
}

// realPath returns a directory as an absolute path without links.
func realPath(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return "", err
	}
	info, err := os.Stat(abs)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory", abs)
	}
	return abs, err
}

// workTree returns the top of a directory's git work tree, or "".
func workTree(dir string) string {
	for {
		if _, err := gitDir(dir); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

var errNoGit = errors.New("no git directory")

// gitDir returns the git directory of the work tree at top. That is .git, or what a file of that
// name says (linked work trees, submodules).
func gitDir(top string) (string, error) {
	dir := filepath.Join(top, ".git")
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	if info.Mode().IsRegular() && info.Size() < 64<<10 {
		text, err := os.ReadFile(dir)
		if err != nil {
			return "", err
		}
		said, ok := strings.CutPrefix(string(text), "gitdir: ")
		if !ok {
			return "", errNoGit
		}
		if said = strings.TrimRight(said, "\r\n"); !filepath.IsAbs(said) {
			said = filepath.Join(top, said)
		}
		dir = said
	}
	if _, err := os.Lstat(filepath.Join(dir, "HEAD")); err != nil {
		return "", errNoGit
	}
	return dir, nil
}

// refused makes an error of kind ErrInvalid with a hint.
func refused(hint, format string, args ...any) error {
	return &compute.Error{Op: "sync", Kind: compute.ErrInvalid, Err: fmt.Errorf(format, args...), Hint: hint}
}
