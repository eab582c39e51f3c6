package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// gitTracked has the paths that git tracks in a work tree, and the state of the index when they
// were read.
type gitTracked struct {
	list  []tracked
	dir   string // the git directory
	stamp os.FileInfo
}

// same reports whether the index has not been written since.
func (g *gitTracked) same() bool {
	now, err := os.Stat(filepath.Join(g.dir, "index"))
	if err != nil {
		return g.stamp == nil && os.IsNotExist(err)
	}
	return g.stamp != nil && os.SameFile(now, g.stamp) && now.ModTime().Equal(g.stamp.ModTime()) && now.Size() == g.stamp.Size()
}

// below returns the tracked paths below a directory, relative to it.
func below(list []tracked, dir string) []tracked {
	if dir == "" {
		return list
	}
	first, _ := slices.BinarySearchFunc(list, dir+"/", func(t tracked, p string) int { return strings.Compare(t.path, p) })
	out := list[first:]
	for n := range out {
		rest, ok := strings.CutPrefix(out[n].path, dir+"/")
		if !ok {
			return out[:n]
		}
		out[n].path = rest
	}
	return out
}

// The time limit of git, and the limit of its output.
const (
	gitPatience = 10 * time.Minute
	gitWords    = 1 << 30
	gitGrace    = 5 * time.Second // after the end of the scan, before git is killed
)

// untracked asks git for the files below a directory of a work tree that it neither tracks nor
// ignores.
func untracked(ctx context.Context, dir string) ([]string, error) {
	out, err := askGit(ctx, dir, "ls-files", "-z", "--others", "--exclude-standard")
	return fields(out), err
}

// listed asks git for all files: the tracked ones with their marks, and those that it neither
// tracks nor ignores.
func listed(ctx context.Context, dir string) (known []tracked, others []string, err error) {
	out, err := askGit(ctx, dir, "ls-files", "-z", "-t", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, nil, err
	}
	for _, line := range fields(out) {
		tag, path, ok := strings.Cut(line, " ")
		switch {
		case !ok || path == "":
			return nil, nil, fmt.Errorf("git ls-files says %q, which is not understood", line)
		case tag == "?":
			others = append(others, path)
		default:
			// Only a look at the path shows whether it is a submodule: that is a directory.
			known = append(known, tracked{path: path, hidden: tag == "S", module: true})
		}
	}
	slices.SortStableFunc(known, func(a, b tracked) int { return strings.Compare(a.path, b.path) })
	return slices.CompactFunc(known, func(a, b tracked) bool { return a.path == b.path }), others, nil
}

func fields(out []byte) []string {
	if len(out) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// gitQuiet are settings that stop a repository from making git run programs or write files.
var gitQuiet = []string{
	"--no-pager", "--no-optional-locks",
	"-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.untrackedCache=keep", "-c",
	"core.sshCommand=false", "-c", "core.quotePath=false",
	"-c", "core.pager=cat", "-c", "protocol.allow=never", "-c", "credential.helper=",
}

// gitEnviron returns the caller's environment without variables that name another repository, index
// or work tree. Git's own configuration stays the caller's.
func gitEnviron(environ []string) []string {
	var out []string
	for _, kv := range environ {
		if strings.HasPrefix(kv, "GIT_") && !strings.HasPrefix(kv, "GIT_CONFIG_") || strings.HasPrefix(kv, "GIT_CONFIG_PARAMETERS=") ||
			strings.HasPrefix(kv, "GIT_CONFIG=") || strings.HasPrefix(kv, "LC_ALL=") || strings.HasPrefix(kv, "LANGUAGE=") {
			continue
		}
		out = append(out, kv)
	}
	return append(out, "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none", "GIT_TERMINAL_PROMPT=0",
		"GIT_DISCOVERY_ACROSS_FILESYSTEM=1")
}

// gitCommand returns a git command in a directory that only reads.
func gitCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", append(slices.Clone(gitQuiet), args...)...)
	cmd.Dir = dir
	cmd.Env = gitEnviron(os.Environ())
	cmd.WaitDelay = gitGrace
	return cmd
}

// askGit runs git in a directory and returns its output.
func askGit(ctx context.Context, dir string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, gitPatience)
	defer cancel()
	cmd := gitCommand(ctx, dir, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &bounded{w: &out, left: gitWords}, &bounded{w: &said, left: 4 << 10, cut: true}
	err := cmd.Run()
	if err == nil {
		return out.Bytes(), nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, gitFailed(dir, err, said.String())
}

// gitFailed makes the error for a listing of git that failed.
func gitFailed(dir string, err error, said string) error {
	e := &compute.Error{Op: "sync", Kind: compute.ErrFailed}
	line, _, _ := strings.Cut(strings.TrimSpace(said), "\n")
	switch {
	case errors.Is(err, exec.ErrNotFound):
		e.Kind, e.Err, e.Hint = compute.ErrInvalid, fmt.Errorf(
			"%s is a git work tree, and there is no git here to list it", dir,
		), "install git, or say --sync=dir to send all that is there"
	case strings.Contains(said, "dubious ownership"):
		e.Kind, e.Err = compute.ErrDenied, fmt.Errorf("%s belongs to another user, and git does not trust its settings", dir)
		e.Hint = "if you do: git config --global --add safe.directory " + dir
	default:
		e.Err = fmt.Errorf("git in %s: %w: %s", dir, err, line)
	}
	return e
}

// bounded passes on so many bytes. Beyond that it fails, or drops the rest.
type bounded struct {
	w    io.Writer
	left int
	cut  bool
}

// Write writes p while there is room. Beyond that it fails, or drops the rest if cut is set.
func (b *bounded) Write(p []byte) (int, error) {
	n := len(p)
	if n > b.left {
		if !b.cut {
			return 0, errors.New("git says more than can be")
		}
		p = p[:b.left]
	}
	b.left -= len(p)
	_, err := b.w.Write(p)
	return n, err
}
