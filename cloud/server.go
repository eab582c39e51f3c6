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

// Server is a computer in use: one of a Cloud, or any host by NewServer. The fields do not change.
// Its methods are safe for concurrent use. None waits for another's request to the cloud, so known
// facts can be read at any time.
type Server struct {
	ID       string // the provider's
	Name     string
	IP       string
	OS       string // the image
	UserName string // "": what the image is known for
	Flavor   Flavor
	Disk     int // GiB
	// destroy the server after it was used and idle for so long; 0: never
	TTD           time.Duration
	Script        string // the script that set it up
	DestroyScript string // run on it before it is destroyed
	ConfigFiles   []File // the files that were copied to it
	IsHeadNode    bool

	c     *Cloud // nil: it belongs to no cloud
	r     record
	open  func(context.Context) (compute.Conn, error)
	again chan struct{} // one slot: its holder connects
	gone  context.Context
	end   context.CancelCauseFunc // ends gone, and with it the running commands
	t     Timers

	mu        sync.Mutex
	space     *share.Space
	used      bool
	ours      bool // spawned or taken over here: only this process counts it down
	counts    bool // the countdown may start when the server is idle
	parts     int  // parts that are booked
	commands  int  // commands that run now
	countdown *time.Timer
	round     int // the number of the countdown; a stopped one finds another number
	health
	shared  bool // the shared disk is there
	reached bool // a connection was open once
	conn    compute.Conn
	stage   stage
	ending  chan struct{} // closed when the running Destroy ends
	failed  bool          // the last Destroy ended with an error
}

// stage is how far a server's end has come.
type stage int

const (
	living stage = iota
	dying
	dead
)

// errDestroyed is why commands end and nothing can be done any more.
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

// serverOf makes the Server of a record.
func (c *Cloud) serverOf(r record) *Server {
	s := newServer(c.t, r)
	s.c = c
	s.open = func(ctx context.Context) (compute.Conn, error) {
		p, err := c.logins.provider(ctx, r.Login)
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

// Allocate books a part of the server: cores, MiB of memory and GiB of disk. It stops a countdown.
// It returns false and books nothing if the part does not fit, or the server is bad or destroyed.
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

// Release gives back what Allocate booked. When nothing is booked any more, the countdown to the
// server's end starts.
func (s *Server) Release(cores float64, ram, disk int) {
	s.mu.Lock()
	if s.parts > 0 {
		s.space.Unbook(flavor.Part(cores, ram, disk))
		s.parts--
	}
	s.mu.Unlock()
	s.idle()
}

// HasSpaceFor returns how many jobs of a size fit beside what is booked; 0 if the server is bad or
// destroyed.
func (s *Server) HasSpaceFor(cores float64, ram, disk int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != living || !s.bad.IsZero() {
		return 0
	}
	return s.space.Fits(flavor.Part(cores, ram, disk))
}

// Used reports whether anything was ever booked on the server.
func (s *Server) Used() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// Matches reports whether the server has this image, script, files and flavor (nil: any), and has
// the shared disk or not.
func (s *Server) Matches(os, script string, files []File, f *Flavor, sharedDisk bool) bool {
	return s.OS == os && s.Script == script && slices.Equal(s.ConfigFiles, files) &&
		(f == nil || f.ID == s.Flavor.ID) && s.SharedDisk() == sharedDisk
}

// SharedDisk reports whether the server has the shared disk, its own or mounted.
func (s *Server) SharedDisk() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shared
}

// StartCountdown starts the countdown of a server that was never used, as Release does for others.
// Only the process that spawned the server, or took it over, counts.
func (s *Server) StartCountdown() { s.idle() }

// idle starts the countdown, unless something is booked or runs.
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

// expire destroys the server, unless it was used at the last moment.
func (s *Server) expire(round int) {
	s.mu.Lock()
	if s.round != round || s.countdown == nil || s.parts > 0 || s.commands > 0 || s.stage != living {
		s.mu.Unlock()
		return
	}
	s.countdown = nil
	s.stage = dying // from here on nothing can be booked
	s.mu.Unlock()
	s.c.log.Info("a server was idle, and is destroyed", "server", s.Name, "idle", s.TTD)
	s.c.goes(s.destroyAtLast)
}

// destroyAtLast tries to destroy the server until it succeeds.
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

// failedToGo reports whether the last Destroy of this process failed, and none runs.
func (s *Server) failedToGo() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stage == dying && s.ending == nil && s.failed
}

// halt stops a countdown. The caller holds mu.
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

// Destroyed reports whether the server is destroyed or being destroyed.
func (s *Server) Destroyed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stage != living
}
