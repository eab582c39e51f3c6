package enter

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The kernel counts some things by user id, and an ordinary user's sandbox has its user's. It
// gets a part, so that what is used up inside is not used up for its user.
const part = 4 // one of so many

// counts has the kernel bound what it counts by user, in this user name space and below it.
// It needs /proc, writable. What a kernel does not count is left out.
func counts(p *Plan) error {
	if p.Nesting {
		for _, kind := range []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"} {
			_ = writeCount(kind+"_namespaces", nestedSpaces)
		}
	}
	if !p.Shared {
		return nil
	}
	for _, kind := range []string{"instances", "watches"} {
		b, err := os.ReadFile("/proc/sys/fs/inotify/max_user_" + kind)
		if err != nil {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			_ = writeCount("inotify_"+kind, max(n/part, 1))
		}
	}
	for _, resource := range []int{unix.RLIMIT_SIGPENDING, rlimitMsgQueue} {
		var r unix.Rlimit
		if err := unix.Getrlimit(resource, &r); err != nil {
			return err
		}
		if r.Cur > 1<<40 { // there is none
			continue
		}
		if err := limit(resource, int64(r.Cur/part)); err != nil {
			return err
		}
	}
	return nil
}

// nestedSpaces is how many name spaces of each kind a sandbox may have that may make them.
const nestedSpaces = 256

const rlimitMsgQueue = 12 // RLIMIT_MSGQUEUE of <asm-generic/resource.h>

// writeCount limits in this user name space how many of a kind there may be. The kinds are the
// files max_* of /proc/sys/user.
func writeCount(name string, n int) error {
	fd, err := unix.Open("/proc/sys/user/max_"+name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(strconv.Itoa(n)))
	return err
}
