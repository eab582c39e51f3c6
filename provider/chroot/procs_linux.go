package chroot

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/linux/proc"
)

// guests finds an instance's processes: those with their root in it, and those that were started
// there, by their mark, wherever they have gone since.
type guests struct {
	root, mark string
	held       []held // unmounted overlays that are still in use
}

// held is a detached overlay. While it is open no other has its device number.
type held struct {
	fd  int
	dev uint64
}

// hold keeps the overlay at the root known after its unmount. It leaves any other file system,
// which may be this machine's too.
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

// close closes what hold has opened.
func (g *guests) close() {
	for _, h := range g.held {
		_ = unix.Close(h.fd)
	}
	g.held = nil
}

// kill ends every process of an instance, and returns how many it found. It kills at once: a
// request to end would give a process of the last user time to act.
func (g *guests) kill(ctx context.Context) (int, error) {
	seen := map[int]bool{}
	for range 200 {
		all, err := g.look()
		if err != nil || len(all) == 0 {
			return len(seen), err
		}
		for _, h := range all {
			_ = h.Signal(unix.SIGKILL)
			seen[h.PID] = true
		}
		proc.Wait(ctx, all, 100*time.Millisecond)
		proc.Close(all)
		if err := ctx.Err(); err != nil {
			return len(seen), err
		}
	}
	return len(seen), fmt.Errorf("processes with the root %s do not end", g.root)
}

// any reports whether there are processes of an instance.
func (g *guests) any() (bool, error) {
	all, err := g.look()
	proc.Close(all)
	return len(all) > 0, err
}

// look returns the processes of an instance. It leaves out this process and, among the marked ones,
// its ancestors. The caller closes them.
func (g *guests) look() ([]*proc.Handle, error) {
	inside, spared, marked, self := g.rootMatcher(), proc.Ancestors(), proc.Marked(g.mark), os.Getpid()
	return proc.Find(func(pid int) bool { return pid != self && (inside(strconv.Itoa(pid)) || !spared[pid] && marked(pid)) })
}

// rootMatcher returns a test of whether a process, by its name in /proc, has its root in the
// instance.
func (g *guests) rootMatcher() func(name string) bool {
	root := g.root
	var own, host unix.Stat_t
	// false if this machine's own / is mounted there
	there := unix.Stat(root, &own) == nil && unix.Stat("/", &host) == nil && (own.Dev != host.Dev || own.Ino != host.Ino)
	// An overlay is a file system of its own: a process with its root on it is inside.
	overlay := there && overlaid(root) && host.Dev != own.Dev
	return func(name string) bool {
		link, err := os.Readlink("/proc/" + name + "/root")
		if err != nil { // it has ended
			return false
		}
		if link == root || strings.HasPrefix(link, root+"/") {
			return true
		}
		// Seen from another mount name space, or after a detach, the path looks different.
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
