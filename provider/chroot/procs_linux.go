package chroot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// guests knows which processes are an instance's: those with their root in it, and those that were started there, by their mark, wherever they
// have gone since.
type guests struct {
	root, mark string
	held       []held // overlays that are unmounted and yet in use
}

// held is an overlay that was detached. As long as it is open its device number is nobody else's.
type held struct {
	fd  int
	dev uint64
}

// hold keeps the overlay at the root known beyond its unmounting. Any other file system there may be this machine's too: it is left.
func (g *guests) hold() {
	var here, host unix.Stat_t
	if !overlaid(g.root) || unix.Stat("/", &host) != nil {
		return
	}
	fd, err := unix.Open(g.root, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	if unix.Fstat(fd, &here) != nil || here.Dev == host.Dev {
		_ = unix.Close(fd)
		return
	}
	g.held = append(g.held, held{fd, here.Dev})
}

// close lets go of what hold held.
func (g *guests) close() {
	for _, h := range g.held {
		_ = unix.Close(h.fd)
	}
	g.held = nil
}

// kill ends every process of an instance, and returns how many it found. Asking them first would give a last user's process time to do
// something: they are killed at once.
func (g *guests) kill(ctx context.Context) (int, error) {
	seen := map[int]bool{}
	for range 200 {
		all, err := g.look()
		if err != nil || len(all) == 0 {
			return len(seen), err
		}
		for _, p := range all {
			_ = unix.PidfdSendSignal(p.fd, unix.SIGKILL, nil, 0)
			seen[p.pid] = true
		}
		end := time.Now().Add(100 * time.Millisecond)
		for _, p := range all {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, max(1, int(time.Until(end).Milliseconds())))
			_ = unix.Close(p.fd)
		}
		if err := ctx.Err(); err != nil {
			return len(seen), err
		}
	}
	return len(seen), fmt.Errorf("processes with the root %s do not end", g.root)
}

// any reports whether there are processes of an instance.
func (g *guests) any() (bool, error) {
	all, err := g.look()
	for _, p := range all {
		_ = unix.Close(p.fd)
	}
	return len(all) > 0, err
}

// running is a process that is known by a descriptor, so that its number cannot become another's meanwhile.
type running struct{ pid, fd int }

// look returns the processes of an instance, but for our own and, among the marked, those that we descend from. The caller closes their
// descriptors.
func (g *guests) look() ([]running, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	inside, spared, buf := g.inside(), ancestors(), make([]byte, 256<<10)
	is := func(name string, pid int) bool { return inside(name) || !spared[pid] && has(proc, name, g.mark, buf) }
	var out []running
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() || !is(name, pid) {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		if !is(name, pid) { // it was another's number already
			_ = unix.Close(fd)
			continue
		}
		out = append(out, running{pid, fd})
	}
	return out, nil
}

// inside returns a judge of whether a process, by its name in /proc, has its root in the instance.
func (g *guests) inside() func(name string) bool {
	root := g.root
	var own, host unix.Stat_t
	// Unless somebody mounted this machine's own / there.
	there := unix.Stat(root, &own) == nil && unix.Stat("/", &host) == nil && (own.Dev != host.Dev || own.Ino != host.Ino)
	// An overlay is a file system of its own: whoever has his root on it is inside.
	overlay := there && overlaid(root) && host.Dev != own.Dev
	return func(name string) bool {
		link, err := os.Readlink("/proc/" + name + "/root")
		if err != nil { // it has ended
			return false
		}
		if link == root || strings.HasPrefix(link, root+"/") {
			return true
		}
		// From another mount name space, or on what was detached, the path looks different.
		var st unix.Stat_t
		if !there && len(g.held) == 0 || unix.Stat("/proc/"+name+"/root/.", &st) != nil {
			return false
		}
		for _, h := range g.held {
			if st.Dev == h.dev {
				return true
			}
		}
		return there && st.Dev == own.Dev && (overlay || st.Ino == own.Ino)
	}
}

// ancestors returns this process and those from which it descends.
func ancestors() map[int]bool {
	out := map[int]bool{}
	for pid := os.Getpid(); pid > 1 && !out[pid]; {
		out[pid] = true
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			break
		}
		// The name in parentheses may hold anything; after it: state, parent.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 2 {
			break
		}
		pid, _ = strconv.Atoi(string(fields[1]))
	}
	return out
}

// has reports whether a process has mark in its environment. One that has ended has not.
func has(proc *os.File, pid, mark string, buf []byte) bool {
	fd, err := unix.Openat(int(proc.Fd()), pid+"/environ", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	// The window keeps enough of what was read before to find a mark that lies across two reads.
	needle := []byte("\x00" + mark + "\x00")
	keep := copy(buf, "\x00") // the first entry too has a zero before it
	for {
		n, err := unix.Read(fd, buf[keep:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return false
		}
		if n == 0 {
			return bytes.HasSuffix(buf[:keep], needle[:len(needle)-1])
		}
		if bytes.Contains(buf[:keep+n], needle) {
			return true
		}
		tail := min(len(needle)-1, keep+n)
		copy(buf, buf[keep+n-tail:keep+n])
		keep = tail
	}
}
