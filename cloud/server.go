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

	c    *Cloud // nil: it belongs to no cloud
	r    record
	t    Timers
	line *line

	mu   sync.Mutex
	use  use
	life life
	health
}

// use is what a server is used for.
type use struct {
	space    *share.Space
	ever     bool // something was booked once
	parts    int  // parts that are booked
	commands int  // commands that run now
	shared   bool // the shared disk is there
}

// busy reports whether something is booked or runs.
func (u *use) busy() bool { return u.parts > 0 || u.commands > 0 }

// life is how a server comes to its end.
type life struct {
	stage     stage
	ours      bool // spawned or taken over here: only this process counts it down
	counts    bool // the countdown may start when the server is idle
	countdown *time.Timer
	round     int           // the number of the countdown; a stopped one finds another number
	ending    chan struct{} // closed when the running Destroy ends
	failed    bool          // the last Destroy ended with an error
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
		ConfigFiles: r.Files, IsHeadNode: r.Head, r: r, t: t, line: newLine(r.Name, t),
		use: use{shared: r.SharedDisk},
	}
	size := r.Flavor.Size()
	size.Disk = max(size.Disk, flavor.Part(0, 0, r.Disk).Disk)
	s.use.space = share.Of(size)
	return s
}

// serverOf makes the Server of a record.
func (c *Cloud) serverOf(r record) *Server {
	s := newServer(c.t, r)
	s.c, s.line.young = c, true
	s.line.open = func(ctx context.Context) (compute.Conn, error) {
		p, err := c.logins.provider(ctx, r.Login)
		if err != nil {
			return nil, err
		}
		return p.Connect(ctx, compute.ID(r.Name))
	}
	return s
}

func (s *Server) fail(op string, kind, err error) error {
	return failure(s.Name, op, kind, err)
}

// Allocate books a part of the server: cores, MiB of memory and GiB of disk. It stops a countdown.
// It returns false and books nothing if the part does not fit, or the server is bad or destroyed.
func (s *Server) Allocate(cores float64, ram, disk int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.stage != living || !s.bad.IsZero() || !s.use.space.Book(flavor.Part(cores, ram, disk)) {
		return false
	}
	s.use.ever = true
	s.use.parts++
	s.life.halt()
	return true
}

// Release gives back what Allocate booked. When nothing is booked any more, the countdown to the
// server's end starts.
func (s *Server) Release(cores float64, ram, disk int) {
	s.mu.Lock()
	if s.use.parts > 0 {
		s.use.space.Unbook(flavor.Part(cores, ram, disk))
		s.use.parts--
	}
	s.mu.Unlock()
	s.idle()
}

// HasSpaceFor returns how many jobs of a size fit beside what is booked; 0 if the server is bad or
// destroyed.
func (s *Server) HasSpaceFor(cores float64, ram, disk int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.stage != living || !s.bad.IsZero() {
		return 0
	}
	return s.use.space.Fits(flavor.Part(cores, ram, disk))
}

// Used reports whether anything was ever booked on the server.
func (s *Server) Used() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.use.ever
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
	return s.use.shared
}

// StartCountdown starts the countdown of a server that was never used, as Release does for others.
// Only the process that spawned the server, or took it over, counts.
func (s *Server) StartCountdown() { s.idle() }

// idle starts the countdown, unless something is booked or runs.
func (s *Server) idle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.counts = true
	if s.c == nil || !s.life.ours || s.TTD <= 0 || s.life.stage != living || s.use.busy() || s.life.countdown != nil {
		return
	}
	s.life.round++
	round := s.life.round
	s.life.countdown = time.AfterFunc(s.TTD, func() { s.expire(round) })
}

// expire destroys the server, unless it was used at the last moment.
func (s *Server) expire(round int) {
	s.mu.Lock()
	if s.life.round != round || s.life.countdown == nil || s.use.busy() || s.life.stage != living {
		s.mu.Unlock()
		return
	}
	s.life.countdown = nil
	s.life.stage = dying // from here on nothing can be booked
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
	return s.life.stage == dying && s.life.ending == nil && s.life.failed
}

// halt stops a countdown. The caller holds the server's mu.
func (l *life) halt() {
	if l.countdown != nil {
		l.countdown.Stop()
		l.countdown = nil
	}
}

func (s *Server) stopCountdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.halt()
	s.unmourn()
}

// Destroyed reports whether the server is destroyed or being destroyed.
func (s *Server) Destroyed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life.stage != living
}
