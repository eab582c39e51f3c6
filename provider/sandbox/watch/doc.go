// Package watch runs a command in a sandbox and writes down which paths it looked for in vain. It only observes: each system call goes on as it was
// made, by a filter of the kernel's (seccomp user notifications) that asks the watcher and is always told to continue. What it writes comes from
// inside the sandbox, where hostile programs may forge it, so Read takes no more of it than is bounded.
//
// A lookup that a program makes by io_uring, a 32-bit call or a file handle is not seen; sandboxes refuse those. Paths in /proc, /sys and /dev are
// left out, as these are a sandbox's own.
package watch

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
)

// Word is the agent's verb for it: watch FILE -- COMMAND [ARG...] runs the command, and writes the report to the file when it has ended.
const Word = "watch"

// The bounds of a report.
const (
	maxPath   = 4096     // bytes of a path, as the kernel has it
	maxPaths  = 50_000   // paths that are kept
	maxText   = 8 << 20  // bytes of all paths
	maxUses   = 16       // uses that are kept of a path
	maxReport = 64 << 20 // bytes of a report
)

// Report is what was looked for in vain.
type Report struct {
	Lookups []Lookup
	More    int // lookups of other paths, which were not kept
	Unread  int // lookups whose path could not be read: the process was another user's, or gone
}

// Lookup is a path that was looked for, in the order of the first time. Its text is a program's and may hold any byte.
type Lookup struct {
	Path  []byte // absolute, as it was asked for
	Place []byte // where that leads inside, links followed as far as they are there
	Empty bool   // it is a directory with nothing in it
	Uses  []Use
}

// Use is who looked, and how.
type Use struct {
	Program string // the file that the process was running
	Call    string // open, stat, access, readlink, chdir or exec
	Times   int
}

// Read reads a report that came from a sandbox. It drops what cannot be true of one.
func Read(from io.Reader) (Report, error) {
	var r Report
	if err := json.NewDecoder(io.LimitReader(from, maxReport)).Decode(&r); err != nil {
		return Report{}, fmt.Errorf("what the watcher wrote cannot be read: %w", err)
	}
	var kept []Lookup
	for _, l := range r.Lookups[:min(len(r.Lookups), maxPaths)] {
		if !proper(string(l.Path)) || !proper(string(l.Place)) {
			continue
		}
		l.Uses = l.Uses[:min(len(l.Uses), maxUses)]
		for i := range l.Uses {
			u := &l.Uses[i]
			u.Program, u.Call = u.Program[:min(len(u.Program), maxPath)], u.Call[:min(len(u.Call), 16)]
		}
		kept = append(kept, l)
	}
	r.Lookups, r.More, r.Unread = kept, max(r.More, 0), max(r.Unread, 0)
	return r, nil
}

// proper reports whether a path can be one.
func proper(p string) bool {
	return path.IsAbs(p) && len(p) <= 2*maxPath && !strings.Contains(p, "\x00")
}
