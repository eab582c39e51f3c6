package proc

import (
	"bytes"
	"errors"
	"strconv"
)

// Stat is the kernel's state of a process, from /proc/PID/stat.
type Stat struct {
	// as ps shows it: R, S, D, T, ...; Z: ended, and its parent has not waited for it; X: gone
	State   byte
	Parent  int
	Group   int
	Session int
	Start   uint64 // when it began, in the kernel's ticks since the boot
}

// Ended reports whether the process has ended, waited for or not.
func (s Stat) Ended() bool { return s.State == 'Z' || s.State == 'X' }

var errStat = errors.New("not as the kernel writes it")

// ParseStat parses the text of a /proc/PID/stat. The process chooses its name, the second field,
// which may hold anything, as ") Z 1" on a line of its own. The name ends with the last
// parenthesis, as only numbers follow.
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
