package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox/enter"
)

// A guard is a guarded name, and why it is guarded.
type guard struct{ name, why string }

// guarded are names at the top of a directory shared writable by which this machine's programs run
// something. A sandbox that writes one has the next user of the directory run its code. The key
// `writable` gives them to it all the same.
var guarded = []guard{
	{".git", "git runs hooks, filters and file system monitors that it names, and goes where its links lead"},
	{".hg", "Mercurial runs the hooks that its configuration names"},
	{".jj", "Jujutsu runs programs that its configuration names"},
	{".husky", "git runs hooks there where its configuration says so"},
	{".githooks", "git runs hooks there where its configuration says so"},
	{".pre-commit-config.yaml", "a hook of git runs what it names at the next commit"},
	{".hostler", "hostler reads sources, jobs and hooks there"},
	{".crcache", "hostler reads sources there"},
	{".envrc", "direnv runs it when a user enters the directory"},
	{".direnv", "direnv reads what it kept there when a user enters the directory"},
	{".mise.toml", "mise runs what it names when a user enters the directory"},
	{"mise.toml", "mise runs what it names when a user enters the directory"},
	{".vscode", "editors take tasks and programs to run from it"},
	{".idea", "editors take tasks and programs to run from it"},
	{".zed", "editors take tasks and programs to run from it"},
	{".vs", "editors take tasks and programs to run from it"},
	{".fleet", "editors take tasks and programs to run from it"},
	{".devcontainer", "editors run its commands on this machine before there is a container"},
	{".devcontainer.json", "editors run its commands on this machine before there is a container"},
	{".exrc", "Vim and Neovim run it where their configuration says so"},
	{".nvimrc", "Vim and Neovim run it where their configuration says so"},
	{".nvim.lua", "Vim and Neovim run it where their configuration says so"},
	{".dir-locals.el", "Emacs evaluates what it says"},
	{".gdbinit", "gdb runs it where its configuration says so"},
	{".lldbinit", "lldb runs it where its configuration says so"},
	{".claude", "coding agents run the hooks and servers that it names"},
	{".mcp.json", "coding agents run the hooks and servers that it names"},
	{".cursor", "coding agents run the hooks and servers that it names"},
	{".codex", "coding agents run the hooks and servers that it names"},
	{".gemini", "coding agents run the hooks and servers that it names"},
	{".windsurf", "coding agents run the hooks and servers that it names"},
}

// guardMark is the attribute of an empty directory that keeps a name from being taken while
// sandboxes have the directory above it.
const guardMark = "user.hostler.guard"

// guardList is an instance's file with the names of such directories.
const guardList = "guards"

// guard makes the guarded names in a share read-only. An empty directory takes a name that does not
// exist, and goes with the last sandbox that needs it.
func (m *making) guard(s share, from string) ([]enter.Piece, error) {
	if fi, err := os.Stat(from); err != nil || !fi.IsDir() || !s.writable {
		return nil, err
	}
	var out []enter.Piece
	for _, g := range guarded {
		if slices.Contains(m.p.o.Writes, g.name) {
			continue
		}
		at := filepath.Join(from, g.name)
		fi, err := os.Lstat(at)
		// a directory that is just being made has no mark yet
		if errors.Is(err, fs.ErrNotExist) || err == nil && fi.IsDir() && (marked(at) || fi.Mode()&0o222 == 0) {
			err = m.place(at)
			// the sandbox may not make what we may not make here
			if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
				continue
			}
		} else if err == nil && fi.Mode()&fs.ModeSymlink != 0 {
			return nil, &compute.Error{Kind: compute.ErrInvalid,
				Err:  fmt.Errorf("%s is a link, which cannot be kept from being replaced: %s", at, g.why),
				Hint: "share it read-only, or let the sandbox write it: writable = " + g.name + " in the source's section [sandbox], or --writable " + g.name}
		}
		if err != nil {
			return nil, err
		}
		out = append(out, enter.Piece{At: filepath.Join(s.to, g.name), Kind: enter.Bind})
	}
	more, err := m.guardRepositories(s, from)
	return append(out, more...), err
}

// marked reports whether a directory is one of guard's empty ones.
func marked(at string) bool {
	n, err := unix.Lgetxattr(at, guardMark, nil)
	return err == nil && n > 0
}

// place makes an empty directory of a name, or shares one that another sandbox has made. The
// sandbox's first process holds it.
func (m *making) place(at string) error {
	m.guards = append(m.guards, at)
	text, err := json.Marshal(m.guards)
	if err == nil { // written first, so that a kill in between leaves no unlisted guard
		err = os.WriteFile(filepath.Join(m.p.home(compute.ID(m.own.ID)), guardList), text, 0o600)
	}
	if err != nil {
		return err
	}
	for range 10 { // it may be removed before it is held
		if err = os.Mkdir(at, 0o555); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err == nil {
			// without the attribute, only its maker knows of it
			_ = unix.Lsetxattr(at, guardMark, []byte("y"), 0)
		}
		var fd int
		if fd, err = holdDir(at, unix.LOCK_SH); err == nil {
			m.t.fds = append(m.t.fds, fd)
			m.holds = append(m.holds, len(m.t.fds))
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
	}
	return err
}

// holdDir opens a directory with a lock on it. fs.ErrNotExist: it has lost its name since.
func holdDir(at string, how int) (int, error) {
	fd, err := unix.Open(at, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: at, Err: err}
	}
	var held, there unix.Stat_t
	err = unix.Flock(fd, how|unix.LOCK_NB)
	if err == nil {
		err = errors.Join(unix.Fstat(fd, &held), unix.Lstat(at, &there))
	}
	if err == nil && (held.Ino != there.Ino || held.Dev != there.Dev) {
		err = fs.ErrNotExist
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, &os.PathError{Op: "hold", Path: at, Err: err}
	}
	return fd, nil
}

// unguard removes the empty directories of a sandbox that has ended, but for those that another
// sandbox holds.
func unguard(home string) error {
	text, err := os.ReadFile(filepath.Join(home, guardList))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	var all []string
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(home, guardList), err)
	}
	for _, at := range all {
		fd, err := holdDir(at, unix.LOCK_EX)
		if err != nil {
			// it is gone or replaced, or another sandbox holds it and will remove it
			continue
		}
		_ = unix.Rmdir(at) // fails if it is not empty: it is in use by now
		_ = unix.Close(fd)
	}
	return os.Remove(filepath.Join(home, guardList))
}
