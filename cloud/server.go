package cloud

import (
	"context"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/share"
	"github.com/hostler-project/hostler/provider/flavor"
)

// Server is a computer in use: one of a Cloud, or any host by NewServer. The fields say how it was
// spawned; to set them changes nothing.
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

	c      *Cloud // nil: it belongs to no cloud
	life   *lifecycle
	health *health
	shell  *shell
	files  *files
	disk   *sharedDisk
	setup  *setup
	ending *destroyer
}

// newServer makes a Server of its parts. c is nil for a server that belongs to no cloud.
func newServer(c *Cloud, t Timers, r record) *Server {
	s := &Server{
		ID: r.ID, Name: r.Name, IP: r.IP, OS: r.OS, UserName: r.Login.User, Flavor: r.Flavor, Disk: r.Disk, TTD: r.TTD,
		Script: r.Script, DestroyScript: r.DestroyScript,
		ConfigFiles: r.Files, IsHeadNode: r.Head, c: c,
	}
	size := r.Flavor.Size()
	size.Disk = max(size.Disk, flavor.Part(0, 0, r.Disk).Disk)
	line := newLine(r.Name, t)
	s.life = &lifecycle{space: share.Of(size)}
	s.shell = &shell{line: line, life: s.life}
	s.files = &files{shell: s.shell}
	s.disk = &sharedDisk{c: c, r: r, t: t, shell: s.shell, there: r.SharedDisk}
	s.setup = &setup{told: r.Told, t: t, shell: s.shell, files: s.files}
	s.ending = &destroyer{c: c, r: r, t: t, connection: line, lifecycle: s.life, disk: s.disk}
	s.health = &health{c: c, name: r.Name, lifecycle: s.life, end: s.ending.retryDestroy}
	s.ending.health = s.health
	if c != nil {
		s.life.ttd, s.life.expired = r.TTD, s.ending.idle
	}
	return s
}

// serverOf makes the Server of a record.
func (c *Cloud) serverOf(r record) *Server {
	s := newServer(c, c.t, r)
	s.shell.line.isNew = true
	s.shell.line.open = func(ctx context.Context) (compute.Conn, error) {
		p, err := c.logins.provider(ctx, r.Login)
		if err != nil {
			return nil, err
		}
		return p.Connect(ctx, compute.ID(r.Name))
	}
	return s
}

// Allocate books a part of the server: cores, MiB of memory and GiB of disk. It stops a countdown.
// It returns false and books nothing if the part does not fit, or the server is bad or destroyed.
func (s *Server) Allocate(cores float64, ram, disk int) bool {
	return s.health.unlessBad(func() bool { return s.life.book(flavor.Part(cores, ram, disk)) })
}

// Release gives back what Allocate booked. When nothing is booked any more, the countdown to the
// server's end starts.
func (s *Server) Release(cores float64, ram, disk int) {
	s.life.unbook(flavor.Part(cores, ram, disk))
}

// HasSpaceFor returns how many jobs of a size fit beside what is booked; 0 if the server is bad or
// destroyed.
func (s *Server) HasSpaceFor(cores float64, ram, disk int) int {
	if s.health.isBad() {
		return 0
	}
	return s.life.fits(flavor.Part(cores, ram, disk))
}

// Used reports whether anything was ever booked on the server.
func (s *Server) Used() bool { return s.life.wasUsed() }

// Matches reports whether the server has this image, script, files and flavor (nil: any), and has
// the shared disk or not.
func (s *Server) Matches(os, script string, files []File, f *Flavor, sharedDisk bool) bool {
	return s.OS == os && s.Script == script && slices.Equal(s.ConfigFiles, files) &&
		(f == nil || f.ID == s.Flavor.ID) && s.SharedDisk() == sharedDisk
}

// StartCountdown starts the countdown of a server that was never used, as Release does for others.
// Only the process that spawned the server, or took it over, counts.
func (s *Server) StartCountdown() { s.life.idle() }

// Destroyed reports whether the server is destroyed or being destroyed.
func (s *Server) Destroyed() bool { return !s.life.living() }

// Destroy destroys the server. It ends the running commands, runs the server's own script of
// destruction, unmounts the shared disk and flushes memory to disk. Then it asks the cloud until
// the server is gone. All of that takes bounded time.
//
// Destroy is safe for concurrent use and may be repeated. One call does the work, and the others
// wait. After an error, the next call tries again. A Server from NewServer is only disconnected.
func (s *Server) Destroy(ctx context.Context) error { return s.ending.destroy(ctx) }

// Alive reports whether the server works: it is not destroyed and the cloud says that it runs. With
// session, a session must open on it too.
func (s *Server) Alive(ctx context.Context, session bool) bool {
	if s.Destroyed() {
		return false
	}
	if s.c != nil {
		if ok, err := s.c.CheckServer(ctx, s.Name); err != nil || !ok {
			return false
		}
	}
	if session {
		_, err := s.SSHSession(ctx)
		return err == nil
	}
	return true
}

// Known reports whether the cloud knows the server. Credentials of another project are an error.
func (s *Server) Known(ctx context.Context) (bool, error) {
	if s.c == nil {
		return false, nil
	}
	return s.c.ServerIsKnown(ctx, s.Name)
}
