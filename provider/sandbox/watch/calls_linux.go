//go:build amd64 || arm64

package watch

import "golang.org/x/sys/unix"

// call says where a system call has its path.
type call struct {
	number uint32
	kind   string
	// which argument is the directory that the path is relative to; none: the current one
	dir   int
	path  int  // which argument is the path
	flags int  // which argument has flags; none: there are none
	stay  bool // a link at the end is not followed, whatever the flags
}

// none is the place of an argument that a call does not have.
const none = -1

// everywhere are the calls that all architectures have.
var everywhere = []call{
	{unix.SYS_OPENAT, "open", 0, 1, 2, false},
	{unix.SYS_OPENAT2, "open", 0, 1, none, false},
	{unix.SYS_STATX, "stat", 0, 1, 2, false},
	{unix.SYS_FACCESSAT, "access", 0, 1, none, false},
	{unix.SYS_FACCESSAT2, "access", 0, 1, 3, false},
	{unix.SYS_READLINKAT, "readlink", 0, 1, none, true},
	{unix.SYS_CHDIR, "chdir", none, 0, none, false},
	{unix.SYS_EXECVE, "exec", none, 0, none, false},
	{unix.SYS_EXECVEAT, "exec", 0, 1, 4, false},
}

// follows reports whether the call follows a link at the path's end, makes what is not there, and
// takes no path for the descriptor itself.
func (c *call) follows(args *[6]uint64) (follow, creates bool) {
	if c.stay {
		return false, false
	}
	if c.flags == none {
		return true, false
	}
	flags := args[c.flags]
	if c.kind == "open" {
		return flags&unix.O_NOFOLLOW == 0, flags&unix.O_CREAT != 0
	}
	return flags&unix.AT_SYMLINK_NOFOLLOW == 0, false
}
