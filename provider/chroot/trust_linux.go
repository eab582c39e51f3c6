package chroot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// callers returns the users that this process works for: root, its own, and the one that became
// root by sudo.
func callers() []uint32 {
	out := []uint32{0, uint32(os.Getuid())}
	if n, err := strconv.ParseUint(os.Getenv("SUDO_UID"), 10, 32); err == nil {
		out = append(out, uint32(n))
	}
	return out
}

// trust returns an error if another user than these can change what an absolute path leads to, as
// the owner of it or of a directory or link on the way, or by the right to write there. A sticky
// directory, such as /tmp, gives no such right. A missing path is an fs.ErrNotExist.
func trust(path string, users []uint32) error {
	at, rest, links := "/", strings.Split(filepath.Clean(path), "/"), 0
	for {
		var st unix.Stat_t
		if err := unix.Lstat(at, &st); err != nil {
			return &fs.PathError{Op: "lstat", Path: at, Err: err}
		}
		if !slices.Contains(users, st.Uid) {
			return fmt.Errorf("%s belongs to the user %d", at, st.Uid)
		}
		link := st.Mode&unix.S_IFMT == unix.S_IFLNK
		for len(rest) > 0 && rest[0] == "" {
			rest = rest[1:]
		}
		// The group 0 is root's own.
		others := st.Mode&0o002 != 0 || st.Mode&0o020 != 0 && st.Gid != 0
		if sticky := st.Mode&unix.S_ISVTX != 0 && len(rest) > 0; others && !link && !sticky {
			return fmt.Errorf("others may write to %s", at)
		}
		if link {
			target, err := os.Readlink(at)
			if links++; err != nil || links > 40 {
				return errors.Join(err, &fs.PathError{Op: "follow", Path: at, Err: unix.ELOOP})
			}
			if at = filepath.Dir(at); filepath.IsAbs(target) {
				at = "/"
			}
			rest = append(strings.Split(target, "/"), rest...)
			continue
		}
		if len(rest) == 0 {
			return nil
		}
		switch rest[0] {
		case ".":
		case "..":
			at = filepath.Dir(at) // it has no link in it any more
		default:
			at = filepath.Join(at, rest[0])
		}
		rest = rest[1:]
	}
}

// trustBase returns an error unless only root and the caller can change a base, or what was
// unpacked of it. A missing base is no error here.
func trustBase(base string) error {
	err := trust(base, callers())
	if err == nil || isPath(err) {
		return nil
	}
	return &compute.Error{
		Op: "chroot.Create", Kind: compute.ErrDenied, Err: fmt.Errorf("base %s: %w", base, err),
		Hint: "root runs what is in a base, so it and the directories above it must be root's or yours, and writable by nobody else",
	}
}

// look returns the topmost directory's info, if all exist and only root and the caller can change
// them.
func (b lowerDirs) look() (top fs.FileInfo, err error) {
	for _, dir := range b.dirs {
		if err := trustBase(dir); err != nil {
			return nil, err
		}
		fi, err := os.Stat(dir)
		if err != nil {
			return nil, baseError(dir, err)
		}
		if top == nil {
			top = fi
		}
	}
	return top, nil
}

// place returns an error unless the directory of instances is ours, or does not exist yet.
func (p *Provider) place() error {
	for _, dir := range []string{p.o.Dir, filepath.Join(p.o.Dir, "instances")} {
		if err := trust(dir, callers()); errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return &compute.Error{
				Op: "chroot", ID: compute.ID(p.o.Source), Kind: compute.ErrDenied, Err: fmt.Errorf("the directory of instances: %w", err),
				Hint: "see who made " + dir + "; it and the directories above it must be root's or yours, and writable by nobody else",
			}
		}
	}
	return nil
}

// isPath reports whether err comes from the file system, and not from trust.
func isPath(err error) bool {
	var e *fs.PathError
	return errors.As(err, &e)
}
