package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Handles tell each other of writes by NOTIFY, on a channel named for the installation. Where a
// request of another handle waits in the queue, that is at once, with the commit itself. Else it is
// a moment later, once for all writes in it, on another connection, so no commit pays for it.
// Messages may be lost with a connection or their sender, so a listener also looks by itself.

// tellEvery is the shortest time between two notices of a handle, where no request waits in the
// queue.
const tellEvery = 50 * time.Millisecond

// listenPing is how often a connection on which nothing is heard is tried.
const listenPing = 5 * time.Second

// channel is the name of ours.
func (s *Store) channel() string { return "hostler_" + strconv.FormatUint(uint64(uint32(s.class)), 16) }

// notice is the statement that tells others of a write by this handle.
func (s *Store) notice(what string) query {
	return query{"SELECT pg_notify($1, $2)", []any{s.channel(), fmt.Sprintf("%d %s", s.Worker(), what)}, drain}
}

// urgent reports whether a request of another handle waits for a transaction's changes.
func (s *Store) urgent(m *memory) bool {
	if !m.queued {
		return true // as far as is known
	}
	own := s.Worker()
	for _, w := range m.queue {
		if w.Worker != own {
			return true
		}
	}
	return false
}

// Listen calls heard soon after other handles have written, until ctx ends; at once if requests
// wait in the queue. heard must not block. Meanwhile this handle announces its own writes.
func (s *Store) Listen(ctx context.Context, heard func()) {
	telling := make(chan struct{})
	go func() {
		defer close(telling)
		s.tell(ctx)
	}()
	defer func() { <-telling }()
	pause := 50 * time.Millisecond
	for ctx.Err() == nil {
		start := time.Now()
		err := s.hear(ctx, heard)
		s.hearing.Store(false)
		if ctx.Err() != nil {
			return
		}
		s.log.Debug("what others write is not heard for a moment", "database", s.Name(), "err", err)
		if time.Since(start) > 10*time.Second {
			pause = 50 * time.Millisecond
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, 2*time.Second)
	}
}

// hear listens on one connection, until that is lost.
func (s *Store) hear(ctx context.Context, heard func()) error {
	w, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	if _, err := w.conn.Exec(ctx, "LISTEN "+s.channel()); err != nil {
		return err
	}
	// Writes from before are noticed now.
	s.others.Add(1)
	s.hearing.Store(true)
	heard()
	for {
		short, cancel := context.WithTimeout(ctx, listenPing)
		n, err := w.conn.WaitForNotification(short)
		quiet := err != nil && short.Err() != nil && ctx.Err() == nil
		cancel()
		if quiet {
			short, cancel := context.WithTimeout(ctx, dialPatience)
			err := w.conn.Ping(short)
			cancel()
			if err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if who, _, _ := strings.Cut(n.Payload, " "); who == strconv.FormatInt(s.Worker(), 10) {
			continue
		}
		s.others.Add(1)
		heard()
	}
}

// tell announces this handle's writes from time to time, if there are any.
func (s *Store) tell(ctx context.Context) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	told := s.wrote.Load()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := s.wrote.Load(); now != told && s.side.run(s, s.notice("wrote")) == nil {
			told = now
		}
	}
}
