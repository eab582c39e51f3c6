package supervise

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Group is programs that belong together.
type Group struct {
	Name     string    `json:"name"`
	Programs []Program `json:"programs"` // started in this order
}

// Program is one program to run.
type Program struct {
	Name    string   `json:"name"`
	Command []string `json:"command"` // an absolute path, and arguments
	Dir     string   `json:"dir"`     // in which it runs
	// all of its environment, as KEY=VALUE, but for the supervisor's mark
	Env  []string `json:"env"`
	User *User    `json:"user,omitempty"`
	// a file in Dir for its output; "": nowhere
	Log  string `json:"log,omitempty"`
	Keep Keep   `json:"keep,omitempty"`

	Limits *Limits `json:"limits,omitempty"`
	// from the polite signal to the last; 0: a minute
	StopWait time.Duration `json:"stop_wait,omitempty"`
}

// Limits are the limits of all programs of a group that have them, together; in one group they are
// equal. 0 is no limit. A machine that cannot limit ignores them, and the log says so.
type Limits struct {
	Memory int64   `json:"memory,omitempty"` // bytes
	CPU    float64 `json:"cpu,omitempty"`    // cores
	PIDs   int     `json:"pids,omitempty"`   // processes and threads
}

// check refuses limits under which nothing could run.
func (l *Limits) check() error {
	switch {
	case l == nil:
	case l.Memory != 0 && l.Memory < 1<<20:
		return fmt.Errorf("%d bytes of memory is no limit: 1 MiB at least", l.Memory)
	case l.CPU != 0 && !(l.CPU >= 0.01 && l.CPU <= 1e4):
		return fmt.Errorf("%v cores is no limit: 0.01 at least", l.CPU)
	case l.PIDs < 0 || l.PIDs > 1<<22:
		return fmt.Errorf("%d processes is no limit", l.PIDs)
	}
	return nil
}

// User is the user a program runs as; nil: the supervisor's own.
type User struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"` // beside GID
}

// Keep says what follows when a program ends by itself.
type Keep string

// The ways to keep a program.
const (
	Once Keep = "" // nothing: it may
	// it is started again: at once, and then with growing pauses; it is an Event of weight when it
	// did not stay up
	Again   Keep = "again"
	Watched Keep = "watched" // it is not started again, and its end is an Event of weight at once
)

// State is how a program is, by the words that its users know.
type State string

// The states.
const (
	Stopped  State = "STOPPED"
	Running  State = "RUNNING"
	Backoff  State = "BACKOFF" // it ended too soon, and will be started again
	Stopping State = "STOPPING"
	Exited   State = "EXITED" // by itself
	Fatal    State = "FATAL"  // it could not be started
)

// Status is how a program is.
type Status struct {
	Group string    `json:"group"`
	Name  string    `json:"name"`
	State State     `json:"state"`
	PID   int       `json:"pid,omitempty"`
	Since time.Time `json:"since,omitzero"` // it is in this state
	// how it ended last: "exit status 1", "signal: killed", "unknown"
	Exit     string `json:"exit,omitempty"`
	Error    string `json:"error,omitempty"`
	Restarts int    `json:"restarts,omitempty"` // since the group was put or started
	Log      string `json:"log,omitempty"`      // path
}

// FullName is how users name a program: GROUP:NAME.
func (s *Status) FullName() string { return s.Group + ":" + s.Name }

// Event is that a program ended by itself, or could not be started.
type Event struct {
	Time   time.Time
	Group  string
	Name   string
	State  State
	Exit   string
	Uptime time.Duration
	Weight bool // the owner of the group should look at it
}

// check refuses a group that cannot be run.
func (g *Group) check() error {
	fail := func(format string, args ...any) error {
		return &compute.Error{Op: "supervise.Put", ID: compute.ID(g.Name), Kind: compute.ErrInvalid, Err: fmt.Errorf(format, args...)}
	}
	if !plain(g.Name) {
		return fail("a group's name is letters, digits and ._-, not %q", g.Name)
	}
	seen := map[string]bool{}
	for i := range g.Programs {
		p := &g.Programs[i]
		switch {
		case !fits(p.Name):
			return fail("a program's name has no /, : or control characters, and is not %q", p.Name)
		case seen[p.Name]:
			return fail("there are two programs %q", p.Name)
		case len(p.Command) == 0 || !filepath.IsAbs(p.Command[0]):
			return fail("the command of %q is no absolute path: %q", p.Name, p.Command)
		case !filepath.IsAbs(p.Dir):
			return fail("the directory of %q is no absolute path: %q", p.Name, p.Dir)
		case p.Log != "" && !filepath.IsLocal(p.Log) || strings.ContainsRune(p.Log, '/'):
			return fail("the log of %q is no file of its directory: %q", p.Name, p.Log)
		case !slices.Contains([]Keep{Once, Again, Watched}, p.Keep):
			return fail("%q is to be kept %q, which is none of the ways", p.Name, p.Keep)
		case p.Limits.check() != nil:
			return fail("%q: %w", p.Name, p.Limits.check())
		case p.StopWait < 0:
			return fail("%q is given %s to stop", p.Name, p.StopWait)
		}
		for _, text := range append(slices.Clone(p.Command), p.Env...) {
			if strings.ContainsRune(text, 0) {
				return fail("there is a zero byte in what %q is started with", p.Name)
			}
		}
		seen[p.Name] = true
	}
	return nil
}

// plain reports whether a name can be a file's.
func plain(name string) bool {
	return name != "" && len(name) <= 200 && name[0] != '.' && name[0] != '-' && strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}) < 0
}

// fits reports whether a program can be called so: it is a file's name, and users write it behind a
// colon.
func fits(name string) bool {
	return name != "" && len(name) <= 255 && name != "." && name != ".." &&
		strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' || r == ':' }) < 0
}

// errUnknown is of a name that no program has.
func errUnknown(op, name string) error {
	return &compute.Error{
		Op: "supervise." + op, ID: compute.ID(name), Kind: compute.ErrNotFound,
		Err: errors.New("no program is called so"), Hint: "hostler slapos node status",
	}
}
