package proc

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Find opens the processes for which is returns true; the caller closes them. It asks about each
// twice, before and after it opens it: the number may have become another's in between. A process
// that exists and cannot be opened is an error, as the list would not be complete.
func Find(is func(pid int) bool) ([]*Handle, error) {
	pids, err := PIDs()
	if err != nil {
		return nil, err
	}
	var out []*Handle
	for _, pid := range pids {
		if !is(pid) {
			continue
		}
		h, err := Open(pid)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			Close(out)
			return nil, err
		}
		if !is(pid) {
			_ = h.Close()
			continue
		}
		out = append(out, h)
	}
	return out, nil
}

// Close closes all of them.
func Close(all []*Handle) {
	for _, h := range all {
		_ = h.Close()
	}
}

// Wait returns when all of them have ended, after most, or when ctx ends.
func Wait(ctx context.Context, all []*Handle, most time.Duration) {
	end := time.Now().Add(most)
	for _, h := range all {
		if h.Wait(ctx, time.Until(end)) != nil {
			return
		}
	}
}

// Marked returns a judge of processes: those with entry, as KEY=VALUE, in the environment that they
// were started with. A process that has ended, or may not be read, has it not. The judge is for one
// goroutine at a time.
func Marked(entry string) func(pid int) bool {
	needle, buf := []byte("\x00"+entry+"\x00"), make([]byte, 256<<10)
	look := func(pid int) (has, empty bool) {
		fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/environ", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return false, false
		}
		defer unix.Close(fd)
		empty = true
		has = readerHas(func(b []byte) (int, error) {
			n, err := unix.Read(fd, b)
			empty = empty && n == 0 && err == nil
			return n, err
		}, needle, buf)
		return has, empty
	}
	return func(pid int) bool {
		for range execTries {
			has, empty := look(pid)
			if !empty || !mayStillExec(pid) {
				return has
			}
			time.Sleep(execPause)
		}
		return false
	}
}

// A process that is being replaced by another program has no environment to be read. That takes
// less than a millisecond as a rule.
const (
	execTries = 100
	execPause = time.Millisecond
)

// mayStillExec reports whether a process whose environment was empty may have one in a moment:
// it has memory, and is not known to have none. That is in the fields 23, 50 and 51 of its stat,
// proc_pid_stat(5).
func mayStillExec(pid int) bool {
	var buf [4096]byte
	n, err := read("/proc/"+strconv.Itoa(pid)+"/stat", buf[:])
	if err != nil {
		return false
	}
	f := bytes.Fields(buf[bytes.LastIndexByte(buf[:n], ')')+1 : n]) // from the third field on
	if len(f) < 49 || string(f[20]) == "0" {
		return false // a kernel thread, or a process that has ended
	}
	begin, end := string(f[47]), string(f[48])
	return begin == "0" || begin != end
}

// readerHas reports whether a needle, an entry with a zero at both its ends, is in what read
// returns. buf is longer than the needle, and keeps enough of the last read to find one that
// lies across two reads.
func readerHas(read func([]byte) (int, error), needle, buf []byte) bool {
	keep := copy(buf, "\x00") // the first entry has no zero before it
	for {
		n, err := read(buf[keep:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return false
		}
		if n == 0 { // the last entry may end without a zero
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
