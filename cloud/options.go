package cloud

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/hostler-project/hostler/store"
)

// Store keeps the records for all processes that use it, as store/sqlite and store/postgres do.
type Store interface {
	Update(ctx context.Context, fn func(store.Tx) error) error
	View(ctx context.Context, fn func(store.Tx) error) error
	// Installation is the random id with which everything is marked.
	Installation() string
	// Worker is this handle's number, unique among all living handles.
	Worker() int64
	// Alive reports whether the worker with this number lives.
	Alive(worker int64) bool
}

// Options say which cloud to open and how. Resource, Store and Open or a provider are needed.
type Options struct {
	// the prefix of all names: letters, digits, _, - and spaces; required
	Resource string
	Store    Store // required
	// the directory for private keys, mode 0700; required by the kinds of clouds of this package
	Dir string

	Provider string // a kind of cloud, "openstack" or "ec2", where Open is nil
	// opens the kind of cloud; OpenStack and EC2 return such functions
	Open func(context.Context, Setup) (Backend, error)

	// AutoConfirmDead is how long a server may be bad, see GoneBad, before it is destroyed; 0 means
	// for ever. The start is recorded, so the time goes on when the process ends. The process that
	// takes the server over, see Recover, destroys it then.
	AutoConfirmDead time.Duration

	MaxServers int // servers of this resource at most; 0: no limit but the quota
	// flush and remount read-only by the kernel before a server is destroyed; only for servers with
	// a kernel of their own
	SysRq  bool
	Timers Timers       // see there for the defaults
	Log    *slog.Logger // nil: no log
}

// Timers are time limits and intervals. A zero field means the default that its comment names.
type Timers struct {
	SSH time.Duration // until a new server accepts the login: 5 min
	// how long a new server may refuse the key while its users are being made: 10 s
	Denied      time.Duration
	Dial        time.Duration // for one try to connect, and for a session on it: 15 s
	Boot        time.Duration // from the first login until it has booted: 10 min
	Script      time.Duration // for the script of set-up or destruction: 15 min
	Poll        time.Duration // between looks at a server that is being made: 1 s
	FirstSpawn  time.Duration // for the first server: 20 min; later 4 times the average
	LeastSpawn  time.Duration // the least for later servers: 3 min
	Backoff     time.Duration // after a failed spawn, then half as much again each time: 1 s
	MostBackoff time.Duration // the most: 1 min
	DestroyPoll time.Duration // between looks at a server that is going: 250 ms
	Destroy     time.Duration // until a server is known to be gone: 2 min
	// for a server to flush its memory to disk before it is destroyed: 20 s
	Flush      time.Duration
	TearDown   time.Duration // for all servers together: 4 min
	Flavors    time.Duration // the age up to which the list of flavors is used: 30 min
	Failed     time.Duration // a flavor without hardware is skipped so long: 15 min
	Pick       time.Duration // a picked flavor is kept so long: 5 min
	SharedDisk time.Duration // to set up NFS: 2 min
}

// complete fills in the usual value of each timer that is zero.
func (t Timers) complete() Timers {
	for _, one := range []struct {
		d     *time.Duration
		usual time.Duration
	}{
		{&t.SSH, 5 * time.Minute}, {&t.Denied, 10 * time.Second}, {&t.Dial, 15 * time.Second},
		{&t.Boot, 10 * time.Minute}, {&t.Script, 15 * time.Minute},
		{&t.Poll, time.Second}, {&t.FirstSpawn, 20 * time.Minute}, {&t.LeastSpawn, 3 * time.Minute},
		{&t.Backoff, time.Second}, {&t.MostBackoff, time.Minute},
		{&t.DestroyPoll, 250 * time.Millisecond}, {&t.Destroy, 2 * time.Minute}, {&t.Flush, 20 * time.Second},
		{&t.TearDown, 4 * time.Minute},
		{&t.Flavors, 30 * time.Minute}, {&t.Failed, 15 * time.Minute}, {&t.Pick, 5 * time.Minute}, {&t.SharedDisk, 2 * time.Minute},
	} {
		*one.d = cmp.Or(*one.d, one.usual)
	}
	return t
}
