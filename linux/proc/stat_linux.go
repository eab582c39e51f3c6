package proc

import (
	"errors"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// ReadStat returns the state of the process of a number. fs.ErrNotExist: there is none, or we
// may not see it.
func ReadStat(pid int) (Stat, error) {
	name := "/proc/" + strconv.Itoa(pid) + "/stat"
	var buf [4096]byte // more than the kernel writes, and one read returns all
	n, err := read(name, buf[:])
	if errors.Is(err, unix.ESRCH) { // it ended after the file was opened
		err = fs.ErrNotExist
	}
	var s Stat
	if err == nil {
		s, err = ParseStat(buf[:n])
	}
	if err != nil {
		return Stat{}, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return s, nil
}

// read reads a small file of /proc.
func read(name string, into []byte) (int, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	for {
		if n, err := unix.Read(fd, into); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// PIDs returns the numbers of all processes.
func PIDs() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	out := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			out = append(out, pid)
		}
	}
	return out, nil
}

// All returns the states of all processes, by their numbers. Processes come and go meanwhile: it is
// no picture of one moment.
func All() (map[int]Stat, error) {
	pids, err := PIDs()
	if err != nil {
		return nil, err
	}
	out := make(map[int]Stat, len(pids))
	for _, pid := range pids {
		if s, err := ReadStat(pid); err == nil {
			out[pid] = s
		}
	}
	return out, nil
}

// Ancestors returns the numbers of this process and its ancestors, but for process 1.
func Ancestors() map[int]bool {
	out := map[int]bool{}
	for pid := os.Getpid(); pid > 1 && !out[pid]; {
		out[pid] = true
		s, err := ReadStat(pid)
		if err != nil {
			break
		}
		pid = s.Parent
	}
	return out
}
