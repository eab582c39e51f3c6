package proc

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Stat is what /proc/PID/stat says of a process.
type Stat struct {
	State   byte // as ps shows it: R, S, D, T, ...; Z: it has ended, and its parent has not taken note; X: gone
	Parent  int
	Group   int
	Session int
	Start   uint64 // when it began, in the kernel's ticks since the boot
}

// Ended reports whether nothing of it runs any more.
func (s Stat) Ended() bool { return s.State == 'Z' || s.State == 'X' }

var errStat = errors.New("not as the kernel writes it")

// ParseStat reads the text of a /proc/PID/stat. The process chooses its name, the second field, so that may hold anything, as ") Z 1" on a line of its
// own; it ends with the last parenthesis, as only numbers follow.
func ParseStat(text []byte) (Stat, error) {
	f := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(f) < 20 || len(f[0]) != 1 { // the fields from the third on
		return Stat{}, errStat
	}
	s := Stat{State: f[0][0]}
	var bad error
	number := func(word []byte) int {
		n, err := strconv.Atoi(string(word))
		if err != nil {
			bad = errStat
		}
		return n
	}
	s.Parent, s.Group, s.Session = number(f[1]), number(f[2]), number(f[3])
	start, err := strconv.ParseUint(string(f[19]), 10, 64)
	if err != nil || bad != nil {
		return Stat{}, errStat
	}
	s.Start = start
	return s, nil
}

// Look returns what is said of the process of a number. fs.ErrNotExist: there is none, or we may not see it.
func Look(pid int) (Stat, error) {
	name := "/proc/" + strconv.Itoa(pid) + "/stat"
	var buf [4096]byte // more than the kernel has to say, and it says it at once
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

// read reads what a small file has to say.
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

// PIDs returns the numbers of all processes that there are.
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

// All returns what is said of all processes, by their numbers. They come and go meanwhile: it is no picture of one moment.
func All() (map[int]Stat, error) {
	pids, err := PIDs()
	if err != nil {
		return nil, err
	}
	out := make(map[int]Stat, len(pids))
	for _, pid := range pids {
		if s, err := Look(pid); err == nil {
			out[pid] = s
		}
	}
	return out, nil
}

// Ancestors returns the numbers of this process and of those from which it descends, but for the first process of all.
func Ancestors() map[int]bool {
	out := map[int]bool{}
	for pid := os.Getpid(); pid > 1 && !out[pid]; {
		out[pid] = true
		s, err := Look(pid)
		if err != nil {
			break
		}
		pid = s.Parent
	}
	return out
}
