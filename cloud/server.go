package cloud

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/share"
	"github.com/hostler-project/hostler/provider/flavor"
)

// Server is a computer that is worked with. The fields do not change. Its methods may be called at
// once from many goroutines, and none of them waits for another's conversation with the cloud: what
// is known can be asked at any time.
type Server struct {
	ID       string // the provider's
	Name     string
	IP       string
	OS       string // the image
	UserName string // "": what the image is known for
	Flavor   Flavor
	Disk     int // GiB
	// it is destroyed when it was used and then idle for so long; 0: never
	TTD           time.Duration
	Script        string // that set it up
	DestroyScript string // run on it before it is destroyed
	ConfigFiles   []File // that were copied over
	IsHeadNode    bool

	c     *Cloud // nil: it is none of a cloud's
	r     record
	open  func(context.Context) (compute.Conn, error)
	again chan struct{} // one slot: who has it connects
	gone  context.Context
	end   context.CancelCauseFunc // of gone: commands that run are to end
	t     Timers

	mu        sync.Mutex
	space     *share.Space
	used      bool
	ours      bool // this process spawned it or took it over: no other one counts it down
	counts    bool // down to its end, whenever it is idle
	parts     int  // booked
	commands  int  // that run now
	countdown *time.Timer
	round     int // of the countdown: one that was stopped too late knows by it
	health
	shared  bool // the shared disk is there
	reached bool // a connection was open once
	conn    compute.Conn
	stage   stage
	ending  chan struct{} // closed when the Destroy that runs has ended
	failed  bool          // the last Destroy ended with an error
}

// stage is how far a server's end has come.
type stage int

const (
	living stage = iota
	dying
	dead
)

// errDestroyed is why commands end, and nothing can be done any more.
var errDestroyed = errors.New("the server was destroyed")

func newServer(t Timers, r record) *Server {
	s := &Server{
		ID: r.ID, Name: r.Name, IP: r.IP, OS: r.OS, UserName: r.Login.User, Flavor: r.Flavor, Disk: r.Disk, TTD: r.TTD,
		Script: r.Script, DestroyScript: r.DestroyScript,
		ConfigFiles: r.Files, IsHeadNode: r.Head, r: r, again: make(chan struct{}, 1), t: t, shared: r.SharedDisk,
	}
	s.gone, s.end = context.WithCancelCause(context.Background())
	size := r.Flavor.Size()
	size.Disk = max(size.Disk, flavor.Part(0, 0, r.Disk).Disk)
	s.space = share.Of(size)
	return s
}

// serverOf is a server of this cloud, as it is recorded.
func (c *Cloud) serverOf(r record) *Server {
	s := newServer(c.t, r)
	s.c = c
	s.open = func(ctx context.Context) (compute.Conn, error) {
		p, err := c.provider(ctx, r.Login)
		if err != nil {
			return nil, err
		}
		return p.Connect(ctx, compute.ID(r.Name))
	}
	return s
}

func (s *Server) fail(op string, kind, err error) error {
	return &compute.Error{Op: "cloud." + op, ID: compute.ID(s.Name), Kind: kind, Err: err}
}

// Allocate books a part of the server: cores, MiB of memory, GiB of disk. It returns false, and
// books nothing, where that does not fit, or the server is bad or destroyed. It ends a countdown.
func (s *Server) Allocate(cores float64, ram, disk int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != living || !s.bad.IsZero() || !s.space.Book(flavor.Part(cores, ram, disk)) {
		return false
	}
	s.used = true
	s.parts++
	s.halt()
	return true
}

// Release gives back what was booked. When nothing is booked any more the server counts down to its
// end.
func (s *Server) Release(cores float64, ram, disk int) {
	s.mu.Lock()
	if s.parts > 0 {
		s.space.Unbook(flavor.Part(cores, ram, disk))
		s.parts--
	}
	s.mu.Unlock()
	s.idle()
}

// HasSpaceFor is how many jobs of a size fit beside what is booked; 0 on a server that is bad or
// destroyed.
func (s *Server) HasSpaceFor(cores float64, ram, disk int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != living || !s.bad.IsZero() {
		return 0
	}
	return s.space.Fits(flavor.Part(cores, ram, disk))
}

// Used tells whether anything was ever booked on the server.
func (s *Server) Used() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// Matches tells whether the server is of an image, set up by a script and files, of a flavor (nil:
// any), and has the shared disk or not.
func (s *Server) Matches(os, script string, files []File, f *Flavor, sharedDisk bool) bool {
	return s.OS == os && s.Script == script && slices.Equal(s.ConfigFiles, files) &&
		(f == nil || f.ID == s.Flavor.ID) && s.SharedDisk() == sharedDisk
}

// SharedDisk tells whether the server has the shared disk, its own or mounted.
func (s *Server) SharedDisk() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shared
}

// StartCountdown has a server that was never used count down to its end too, as Release does. Only
// the process that spawned it, or took it over, counts.
func (s *Server) StartCountdown() { s.idle() }

// idle begins the countdown, unless something is booked or runs.
func (s *Server) idle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts = true
	if s.c == nil || !s.ours || s.TTD <= 0 || s.stage != living || s.parts > 0 || s.commands > 0 || s.countdown != nil {
		return
	}
	s.round++
	round := s.round
	s.countdown = time.AfterFunc(s.TTD, func() { s.expire(round) })
}

// expire destroys the server, unless it was used in the last moment.
func (s *Server) expire(round int) {
	s.mu.Lock()
	if s.round != round || s.countdown == nil || s.parts > 0 || s.commands > 0 || s.stage != living {
		s.mu.Unlock()
		return
	}
	s.countdown = nil
	s.stage = dying // from here on nothing can be booked on it
	s.mu.Unlock()
	s.c.log.Info("a server was idle, and is destroyed", "server", s.Name, "idle", s.TTD)
	s.c.goes(s.destroyAtLast)
}

// destroyAtLast destroys the server, however long the cloud cannot do it.
func (s *Server) destroyAtLast(ctx context.Context) {
	for n := 1; ; n++ {
		err := s.Destroy(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		s.c.log.Warn("an idle server could not be destroyed yet", "server", s.Name, "err", err)
		if sleep(ctx, s.t.pause(n)) != nil {
			return
		}
	}
}

// failedToGo tells whether a Destroy of this process ended with an error, and none runs.
func (s *Server) failedToGo() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stage == dying && s.ending == nil && s.failed
}

// halt ends a countdown. The caller holds mu.
func (s *Server) halt() {
	if s.countdown != nil {
		s.countdown.Stop()
		s.countdown = nil
	}
}

func (s *Server) stopCountdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halt()
	s.unmourn()
}

// Destroyed tells whether the server is destroyed, or being destroyed.
func (s *Server) Destroyed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stage != living
}
