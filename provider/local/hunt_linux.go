package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const canHunt = true

const (
	grace  = 500 * time.Millisecond // from asking a process to end to ending it
	rounds = 20                     // looks at all processes before one that forks faster than it is killed is given up
)

// hunt ends every process that has mark in its environment, but for this one and its ancestors, and returns how many it ended. First they are
// asked (TERM), then ended (KILL), and looked for again, until there are none.
func hunt(ctx context.Context, mark string) (int, error) {
	spared := ancestors()
	seen := map[int]bool{}
	for round := range rounds {
		sig := unix.SIGTERM
		if round > 0 {
			sig = unix.SIGKILL
		}
		found, err := marked(mark, spared)
		if err != nil {
			return len(seen), err
		}
		if len(found) == 0 {
			return len(seen), nil
		}
		for _, fd := range found {
			_ = unix.PidfdSendSignal(fd.fd, sig, nil, 0)
			_ = unix.PidfdSendSignal(fd.fd, unix.SIGCONT, nil, 0) // a stopped process hears only then
			seen[fd.pid] = true
		}
		wait(ctx, found, grace)
		for _, fd := range found {
			_ = unix.Close(fd.fd)
		}
		if err := ctx.Err(); err != nil {
			return len(seen), err
		}
	}
	return len(seen), fmt.Errorf("processes with %s do not end", mark)
}

// running is a process that is known by a descriptor, so that its number cannot become another's meanwhile.
type running struct{ pid, fd int }

// wait returns when all have ended, or after d, or when ctx ends.
func wait(ctx context.Context, all []running, d time.Duration) {
	end := time.Now().Add(d)
	for _, p := range all {
		for ctx.Err() == nil {
			left := min(time.Until(end), 50*time.Millisecond)
			if left < 0 {
				return
			}
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
			if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
				break
			}
		}
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

// marked returns the processes with mark in their environment. The caller closes their descriptors.
func marked(mark string, spared map[int]bool) ([]running, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	uid := os.Geteuid()
	var out []running
	buf := make([]byte, 256<<10)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || spared[pid] {
			continue
		}
		if uid != 0 { // what belongs to others cannot be read
			var st unix.Stat_t
			if unix.Fstatat(int(proc.Fd()), name, &st, 0) != nil || int(st.Uid) != uid {
				continue
			}
		}
		if !has(proc, name, mark, buf) {
			continue
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has ended
		}
		if !has(proc, name, mark, buf) { // it was another's number already
			_ = unix.Close(fd)
			continue
		}
		out = append(out, running{pid, fd})
	}
	return out, nil
}

// has reports whether a process has mark in its environment. One that has ended, or may not be read, has not.
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
