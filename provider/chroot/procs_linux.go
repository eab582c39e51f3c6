package chroot

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// kill ends every process whose root directory is root or below it, and returns how many it found. Asking them first would give a last user's
// process time to do something: they are killed at once.
func kill(ctx context.Context, root string) (int, error) {
	seen := map[int]bool{}
	for range 200 {
		inside, err := insiders(root)
		if err != nil || len(inside) == 0 {
			return len(seen), err
		}
		for _, p := range inside {
			_ = unix.PidfdSendSignal(p.fd, unix.SIGKILL, nil, 0)
			seen[p.pid] = true
		}
		end := time.Now().Add(100 * time.Millisecond)
		for _, p := range inside {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, max(1, int(time.Until(end).Milliseconds())))
			_ = unix.Close(p.fd)
		}
		if err := ctx.Err(); err != nil {
			return len(seen), err
		}
	}
	return len(seen), fmt.Errorf("processes with the root %s do not end", root)
}

// process is one that is known by a descriptor, so that its number cannot become another's meanwhile.
type process struct{ pid, fd int }

// insiders returns the processes of a root, but for our own. The caller closes their descriptors.
func insiders(root string) ([]process, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var own unix.Stat_t
	there := unix.Stat(root, &own) == nil
	// An overlay is a file system of its own: whoever has his root on it is inside. Unless somebody mounted this machine's own / there.
	var host unix.Stat_t
	overlay := there && overlaid(root) && unix.Stat("/", &host) == nil && host.Dev != own.Dev
	is := func(name string) bool {
		link, err := os.Readlink("/proc/" + name + "/root")
		if err != nil { // it has ended
			return false
		}
		if link == root || strings.HasPrefix(link, root+"/") {
			return true
		}
		if !there || link == "/" && !overlay {
			return false
		}
		// From another mount name space the path may look different.
		var st unix.Stat_t
		return unix.Stat("/proc/"+name+"/root/.", &st) == nil && st.Dev == own.Dev && (overlay || st.Ino == own.Ino)
	}
	var out []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() || !is(name) {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		if !is(name) { // it was another's number already
			_ = unix.Close(fd)
			continue
		}
		out = append(out, process{pid, fd})
	}
	return out, nil
}
