// Package runas runs a program to its end, as a SlapOS node does for software and instances: as
// another user, with an environment that is told whole, a mask for its files, a limit of time, and
// with nothing of it left behind. All that it has started is known by a mark in its environment, so
// that what hides in a session of its own is found too; a second one, which its caller chooses, is
// how it is found when that caller was killed.
//
// Elsewhere than on Linux nothing can be run.
package runas

import (
	"io"
	"strings"
	"time"
)

// User is the user a program runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32 // beside GID
}

// Command is a program to run, with its limits.
type Command struct {
	Argv  []string // an absolute path, and arguments
	Dir   string
	Env   []string // all of its environment, as KEY=VALUE, but for our mark
	User  *User    // nil: as we are
	Umask int      // of the files that it makes; 0: ours
	Input []byte   // its standard input; nil: empty
	// takes all of its output, also errors if Errors is nil; Run waits for it; may be nil
	Output io.Writer
	Errors io.Writer     // takes its standard error; nil: Output does
	Limit  time.Duration // it is ended when it takes longer; 0: it may take its time
	// it is asked to end (SIGTERM, to it and those of its process group) so long before it is
	// killed for its limit; 0: it is not asked
	Polite time.Duration
	Spare  bool // processes that it leaves running go on

	// Mark names the purpose of a command, as [Partition] does; "": none. Processes of an earlier
	// run with the same mark, left when its owner was killed, are ended before this one begins;
	// [End] finds them too. One command at a time may have a mark, unless each has a Part of its
	// own. Then only processes of the same mark and part are ended.
	Mark, Part string
}

// Partition is the mark of processes that process a partition of a computer. It names both, as
// machines of several computers may see each other's processes, and have equal directories.
func Partition(computer, dir string) string { return computer + " " + dir }

// Reports is the mark of processes that report a partition's use: a report pass may run beside one
// that processes it.
func Reports(computer, dir string) string { return Partition(computer, dir) + " report" }

// dropped are variables of the node's own environment that its programs must not inherit (SlapOS:
// slapgrid's clean environment). All LC_* are dropped too.
var dropped = map[string]bool{
	"PYTHONHOME": true, "PYTHONPATH": true, "PYTHONSTARTUP": true, "PYTHONY2K": true, "PYTHONOPTIMIZE": true,
	"PYTHONDEBUG": true, "PYTHONDONTWRITEBYTECODE": true, "PYTHONINSPECT": true,
	"PYTHONUNBUFFERED": true, "PYTHONVERBOSE": true, "CONFIG_SITE": true, "ENV": true, "LOGNAME": true, "TEMP": true,
	"TMP": true, "TMPDIR": true, "LANG": true, "LANGUAGE": true,
	"HOME": true, "PYTHONNOUSERSITE": true,
}

// Environ is an environment (like os.Environ's) for the programs of a node. It leaves out variables
// that would misguide them and hostler's own, such as a token. It sets a home.
func Environ(inherited []string, home string) []string {
	out := make([]string, 0, len(inherited)+2)
	for _, entry := range inherited {
		if key, _, _ := strings.Cut(entry, "="); !dropped[key] && !strings.HasPrefix(key, "LC_") && !strings.HasPrefix(key, "HOSTLER_") {
			out = append(out, entry)
		}
	}
	return append(out, "HOME="+home, "PYTHONNOUSERSITE=true")
}
