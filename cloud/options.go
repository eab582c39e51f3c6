package cloud

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Store keeps what is known, for all processes that use it. store/sqlite and store/postgres are
// such; their transactions are compute.NotesTx.
type Store interface {
	Update(ctx context.Context, fn func(compute.Tx) error) error
	View(ctx context.Context, fn func(compute.Tx) error) error
	// Installation is the random id that marks all that we make.
	Installation() string
	// Worker is this handle's number. No two that live at the same time have the same.
	Worker() int64
	// Alive tells whether the worker with this number lives.
	Alive(worker int64) bool
}

// Options say which cloud, and in whose name.
type Options struct {
	// what the names of all that is made begin with: letters, digits, _, - and spaces; required
	Resource string
	Store    Store // required
	// for private keys, mode 0600 in a directory of mode 0700; required by openstack and ec2
	Dir string

	Provider string // "openstack" or "ec2", where Open is nil
	// any kind of cloud; OpenStack and EC2 return such with options of their own
	Open func(context.Context, Setup) (Door, error)

	// AutoConfirmDead is how long a server may be bad, see GoneBad, until it is taken for dead and
	// destroyed; 0: never. Since when it is bad is recorded: the time goes on when the process ends
	// that said so, and the process that takes the server over, see Recover, destroys it.
	AutoConfirmDead time.Duration

	MaxServers int // of this resource, at most; 0: as many as the quota allows
	// a server's kernel is told to flush and to remount its disks read-only before it is destroyed:
	// for servers with kernels of their own
	SysRq  bool
	Timers Timers       // zeros are the defaults
	Log    *slog.Logger // nil: nothing is logged
}

// Timers are how long is waited. A zero is the default that stands behind it.
type Timers struct {
	SSH time.Duration // until a new server lets us in: 5 min
	// a new server may refuse our key, as its users are still being made: 10 s
	Denied      time.Duration
	Dial        time.Duration // for one try to connect, and for a session on it: 15 s
	Boot        time.Duration // until it has booted, once it lets us in: 10 min
	Script      time.Duration // for the script of set-up, and that of destruction: 15 min
	Poll        time.Duration // a server that is being made is looked at so often: 1 s
	FirstSpawn  time.Duration // for the first server: 20 min; then 4 times what those before took
	LeastSpawn  time.Duration // but at least: 3 min
	Backoff     time.Duration // after a failed spawn, half as much more after each further one: 1 s
	MostBackoff time.Duration // 1 min
	DestroyPoll time.Duration // 250 ms
	Destroy     time.Duration // until a server is proved to be gone: 2 min
	// for a server to write what it has in memory to disk, before it is destroyed: 20 s
	Flush      time.Duration
	TearDown   time.Duration // for all servers: 4 min
	Flavors    time.Duration // the list of flavors counts: 30 min
	Failed     time.Duration // a flavor is passed over, once there was no hardware for it: 15 min
	Pick       time.Duration // a flavor that was picked stays: 5 min
	SharedDisk time.Duration // to set up NFS: 2 min
}

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
