// Package watch runs a command in a sandbox and records the paths that it looked for in vain. It
// only observes. A filter of the kernel (seccomp user notifications) asks the watcher about each
// system call, and the watcher always lets it continue. The report comes from inside the sandbox,
// where hostile programs may forge it, so Read bounds what it takes.
//
// A lookup that a program makes by io_uring, a 32-bit call or a file handle is not seen; sandboxes
// refuse those. Paths in /proc, /sys and /dev are left out, as these are a sandbox's own.
package watch

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// Word is the agent's verb for it: watch FILE -- COMMAND [ARG...] runs the command, and writes the
// report to the file when it has ended.
const Word = "watch"

// The bounds of a report.
const (
	maxPath   = 4096     // bytes of a path, as the kernel has it
	maxPaths  = 200_000  // paths that are kept: programs look for their libraries in many places
	maxText   = 24 << 20 // bytes of all paths
	maxUses   = 16       // uses that are kept of a path
	maxLine   = 1 << 20  // bytes of a line of a report
	maxReport = 64 << 20 // bytes of all of it
)

// Report is what was looked for in vain.
type Report struct {
	Lookups []Lookup
	More    int // lookups of other paths, which were not kept
	Unread  int // lookups whose path could not be read: the process was another user's, or gone
}

// Lookup is a path that was looked for, in the order of the first time. Its text is a program's and
// may hold any byte.
type Lookup struct {
	Path []byte // absolute, as it was asked for
	// where that leads inside, links followed as far as they are there; none: it is the path
	Place []byte
	Empty bool // it is a directory with nothing in it
	Uses  []Use
}

// Use is a program that looked, and how.
type Use struct {
	Program string // the file that the process was running
	Call    string // open, stat, access, readlink, chdir or exec
	Times   int
}

// write writes a report: a line with the numbers, and one for each lookup.
func (r *Report) write(to io.Writer) error {
	w := bufio.NewWriter(to)
	lines := json.NewEncoder(w)
	err := lines.Encode(totals{r.More, r.Unread})
	for i := 0; i < len(r.Lookups) && err == nil; i++ {
		err = lines.Encode(&r.Lookups[i])
	}
	return errors.Join(err, w.Flush())
}

// totals is the first line of a report.
type totals struct{ More, Unread int }

// Read reads a report that came from a sandbox. It drops what cannot be true of one.
func Read(from io.Reader) (Report, error) {
	lines := bufio.NewScanner(io.LimitReader(from, maxReport))
	lines.Buffer(nil, maxLine)
	var t totals
	if !lines.Scan() {
		return Report{}, cmp.Or(lines.Err(), io.ErrUnexpectedEOF)
	}
	if err := json.Unmarshal(lines.Bytes(), &t); err != nil {
		return Report{}, fmt.Errorf("what the watcher wrote cannot be read: %w", err)
	}
	r := Report{More: max(t.More, 0), Unread: max(t.Unread, 0)}
	for len(r.Lookups) < maxPaths && lines.Scan() {
		var l Lookup
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return Report{}, fmt.Errorf("what the watcher wrote cannot be read: %w", err)
		}
		if l.Place == nil {
			l.Place = l.Path
		}
		if !proper(string(l.Path)) || !proper(string(l.Place)) {
			continue
		}
		l.Uses = slices.Clone(l.Uses[:min(len(l.Uses), maxUses)])
		for i := range l.Uses {
			u := &l.Uses[i]
			u.Program, u.Call = u.Program[:min(len(u.Program), maxPath)], u.Call[:min(len(u.Call), 16)]
		}
		r.Lookups = append(r.Lookups, l)
	}
	return r, lines.Err()
}

// proper reports whether a path can be one.
func proper(p string) bool {
	return path.IsAbs(p) && len(p) <= 2*maxPath && !strings.Contains(p, "\x00")
}
