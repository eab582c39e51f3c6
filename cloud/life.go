package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

func reader(text string) io.Reader { return strings.NewReader(text) }

// Destroy destroys the server. It ends the running commands, runs the server's own script of
// destruction, unmounts the shared disk and flushes memory to disk. Then it asks the cloud until
// the server is gone. All of that takes bounded time.
//
// Destroy is safe for concurrent use and may be repeated. One call does the work, and the others
// wait. After an error, the next call tries again. A Server from NewServer is only disconnected.
func (s *Server) Destroy(ctx context.Context) error {
	for {
		s.mu.Lock()
		if s.life.stage == dead {
			s.mu.Unlock()
			return nil
		}
		if other := s.life.ending; other != nil {
			s.mu.Unlock()
			select {
			case <-other:
				s.mu.Lock()
				failed := s.life.stage != dead
				s.mu.Unlock()
				if failed && ctx.Err() == nil {
					continue // that attempt did not finish: try now
				}
			case <-ctx.Done():
			}
			return ctx.Err()
		}
		s.life.stage = dying
		s.life.halt()
		s.unmourn()
		ending := make(chan struct{})
		s.life.ending = ending
		s.mu.Unlock()

		err := s.destroy(ctx)
		s.mu.Lock()
		s.life.ending, s.life.failed = nil, err != nil
		if err == nil {
			s.life.stage = dead
		}
		s.mu.Unlock()
		close(ending)
		if err == nil && s.c != nil {
			s.c.mu.Lock()
			delete(s.c.servers, s.Name)
			s.c.mu.Unlock()
		}
		return err
	}
}

func (s *Server) destroy(ctx context.Context) error {
	s.line.end(errDestroyed)
	if s.c == nil {
		return s.line.disconnect()
	}
	if _, err := s.c.book.change(
		ctx, s.Name, func(r *record) error { r.State = destroying; return nil },
	); err != nil && !errors.Is(err, compute.ErrNotFound) {
		return s.fail("Destroy", nil, err)
	}
	p, err := s.c.logins.provider(ctx, s.r.Login)
	if err != nil {
		return s.fail("Destroy", nil, err)
	}
	s.farewell(ctx)
	_ = s.line.disconnect()
	if err := s.c.destroyUntilGone(ctx, p, s.r, s.r.ID == ""); err != nil {
		return s.fail("Destroy", nil, err)
	}
	return s.c.book.drop(ctx, s.Name)
}

// farewell does the last work on a server before it goes, if it was ever reached. A failure is
// logged and stops nothing.
func (s *Server) farewell(ctx context.Context) {
	conn := s.line.current()
	// another process had the connection
	if conn == nil && s.r.State == made && (s.DestroyScript != "" || s.SharedDisk()) {
		try, stop := context.WithTimeout(ctx, s.t.Dial)
		conn, _ = s.line.open(try)
		stop()
		if conn != nil {
			defer conn.Close()
		}
	}
	if conn == nil {
		return
	}
	do := func(what string, limit time.Duration, script, stdin string) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		if _, _, err := s.line.runBare(
			ctx, "Destroy", conn, &compute.Command{Args: []string{"sh", "-c", script}, Stdin: reader(stdin)},
		); err != nil {
			s.c.log.Warn(what+" failed", "server", s.Name, "err", err)
		}
	}
	if s.DestroyScript != "" {
		do(
			"the script of destruction", s.t.Script,
			`umask 077; f=$(mktemp) && cat >"$f" && chmod 700 "$f" || exit 1; "$f" </dev/null; s=$?; rm -f -- "$f"; exit $s`,
			s.DestroyScript,
		)
	}
	if s.SharedDisk() && !s.IsHeadNode {
		do("unmounting the shared disk", s.t.Flush, unmount, "")
	}
	flush := "sync"
	if s.c.opt.SysRq {
		flush = `sync; for k in s u; do echo $k 2>/dev/null >/proc/sysrq-trigger || echo $k | sudo -n tee /proc/sysrq-trigger >/dev/null; done`
	}
	do("flushing the disks", s.t.Flush, flush, "")
}

// destroyUntilGone asks the cloud until it says that the server is gone. lost means that the
// request for it was never answered, so it may still take effect.
func (c *Cloud) destroyUntilGone(ctx context.Context, p compute.Provider, r record, lost bool) error {
	limited, cancel := context.WithTimeout(ctx, c.t.Destroy)
	defer cancel()
	lingers := time.Duration(0)
	if l, ok := compute.As[compute.Lingerer](p); ok && lost {
		lingers = l.Lingers() - c.since(r.Begun)
	}
	began := time.Now()
	var last error
	for {
		err := p.Destroy(limited, compute.ID(r.Name))
		if errors.Is(err, compute.ErrNotFound) && time.Since(began) >= lingers {
			return nil
		}
		if err != nil {
			last = err
		}
		if errors.Is(err, compute.ErrDenied) || errors.Is(err, compute.ErrInvalid) {
			return err
		}
		if sleep(limited, c.t.DestroyPoll) != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if last == nil {
				last = errors.New("the cloud was asked, and the server is still there")
			}
			return &compute.Error{
				Kind: compute.ErrTimeout, Err: fmt.Errorf("not gone within %v: %w", c.t.Destroy, last),
				Hint: "it stays recorded: Destroy, TearDown or Recover try again",
			}
		}
	}
}

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
