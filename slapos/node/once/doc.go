// Package once runs a program to its end, as a SlapOS node does for software and instances: as
// another user, with an environment that is told whole, a mask for its files, a limit of time, and
// with nothing of it left behind. All that it has started is known by a mark in its environment, so
// that what hides in a session of its own is found too; a second one, which its caller chooses, is
// how it is found when that caller was killed.
//
// Elsewhere than on Linux nothing can be run.
package once

import (
	"io"
	"strings"
	"time"
)

// User is who a program runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32 // beside GID
}

// Command is what is run.
type Command struct {
	Argv  []string // an absolute path, and arguments
	Dir   string
	Env   []string // all of its environment, as KEY=VALUE, but for our mark
	User  *User    // nil: as we are
	Umask int      // of the files that it makes; 0: ours
	Input []byte   // what it reads; nil: nothing
	// is given what it writes, to either, all of it: Run waits for it; nil: nobody is
	Output io.Writer
	Errors io.Writer     // is given what it writes as errors, if that is to go elsewhere
	Limit  time.Duration // it is ended when it takes longer; 0: it may take its time
	// it is asked to end (SIGTERM, to it and those of its process group) so long before it is
	// killed for its limit; 0: it is not asked
	Polite time.Duration
	Spare  bool // what it leaves running goes on

	// Mark says what it is for, as [Partition] does: all that a run before has left of it, when its
	// owner was killed, is ended before it begins, and [End] finds it. "": nobody looks. Of one
	// mark there is one at a time, unless each has a Part of its own: then what is ended is what
	// that mark and that part left.
	Mark, Part string
}

// Partition is the mark of what runs to process a partition of a computer. It has both, as machines
// of several computers may be seen from one another, and their directories be alike.
func Partition(computer, dir string) string { return computer + " " + dir }

// Reports is the mark of what runs to say what a partition has used: the passes that do that and
// process it may be two.
func Reports(computer, dir string) string { return Partition(computer, dir) + " report" }

// dropped are the variables that what a node runs is not to have from whoever started the node
// (SlapOS: slapgrid's clean environment), beside all LC_*.
var dropped = map[string]bool{
	"PYTHONHOME": true, "PYTHONPATH": true, "PYTHONSTARTUP": true, "PYTHONY2K": true, "PYTHONOPTIMIZE": true,
	"PYTHONDEBUG": true, "PYTHONDONTWRITEBYTECODE": true, "PYTHONINSPECT": true,
	"PYTHONUNBUFFERED": true, "PYTHONVERBOSE": true, "CONFIG_SITE": true, "ENV": true, "LOGNAME": true, "TEMP": true,
	"TMP": true, "TMPDIR": true, "LANG": true, "LANGUAGE": true,
	"HOME": true, "PYTHONNOUSERSITE": true,
}

// Environ is an environment (as os.Environ's) without what would bend what a node runs and without
// what is hostler's own, as the token of whoever started the node, and with a home.
func Environ(inherited []string, home string) []string {
	out := make([]string, 0, len(inherited)+2)
	for _, entry := range inherited {
		if key, _, _ := strings.Cut(entry, "="); !dropped[key] && !strings.HasPrefix(key, "LC_") && !strings.HasPrefix(key, "HOSTLER_") {
			out = append(out, entry)
		}
	}
	return append(out, "HOME="+home, "PYTHONNOUSERSITE=true")
}
