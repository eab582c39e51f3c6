package keeper

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/remote/agent"
)

// Options are the parameters of a keeper. Socket, Authorise and Open are required.
type Options struct {
	// an absolute path in a directory of the user's own with mode 0700, which is made if missing
	Socket string
	// the build of hostler; clients of another build get their own keeper
	Build string
	// how long a connection, and the keeper itself, stays unused; 0: 10 minutes
	Idle time.Duration
	// after how long unused a connection is checked before use, which costs a round trip; 0: 30 s
	Rest time.Duration

	// Authorise asks the store whether who may use the instance now, and as what. It is called for
	// each connection of a client, so it should cost one read. ErrNotLeased, ErrStale, ErrNotFound
	// and ErrDenied also end kept connections of such a lease.
	Authorise func(ctx context.Context, who compute.Who, id compute.ID) (Key, error)
	// Open opens a connection for who; later users of the same key share it. If it has a method
	// Done() <-chan struct{}, it is not given out after that is closed. If it has a method
	// Healthy(ctx) error, that is called before it is given out after a pause.
	Open func(ctx context.Context, key Key, who compute.Who) (compute.Conn, error)
	// Due begins the work that is due, and returns when more will be; zero: nothing is known. It
	// starts slow work with run, and calls again if more may be due then. It is called at the
	// start, at the returned time, and when the bell is rung, but never concurrently. The keeper
	// stays while work runs. nil: there is no such work.
	Due func(ctx context.Context, run func(func()), again func()) (next time.Time, err error)

	Log *slog.Logger // nil: none
}

const (
	askTime  = 10 * time.Second // for a client's request to arrive
	dueAgain = time.Minute      // after due work failed
)

// Serve runs the keeper until ctx ends, it was told to stop, or it had nothing to do for opt.Idle.
// When it returns, everything that it ran has ended and its connections are closed. If another
// keeper has the socket, it returns nil at once. If Start started it, it closes inherited files and
// reports that it listens.
func Serve(ctx context.Context, opt Options) error {
	ready := inherited()
	defer ready.close()
	if opt.Idle <= 0 {
		opt.Idle = 10 * time.Minute
	}
	if opt.Rest <= 0 {
		opt.Rest = 30 * time.Second
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	l, held, err := listen(opt.Socket)
	if err != nil {
		ready.say(err.Error())
		return err
	}
	if l == nil {
		ready.say(sayTaken)
		return nil
	}
	k := &keeper{opt: opt, started: time.Now(), listener: l, held: held, kept: make(map[place]*kept), changed: make(chan struct{}, 1)}
	k.rung = opt.Due != nil
	k.last = k.started
	k.ctx, k.cancel = context.WithCancel(ctx)
	accepting := make(chan struct{})
	go func() { k.accept(l); close(accepting) }()
	ready.say(sayReady)
	opt.Log.Info("keeper listens", "socket", opt.Socket, "pid", os.Getpid(), "build", opt.Build)
	k.loop()
	k.giveUp()
	<-accepting
	k.loop() // serve the clients of the last moment to the end
	k.cancel()
	k.clientsDone.Wait()
	k.sweep(time.Now().Add(24*time.Hour), 0)
	k.work.Wait()
	opt.Log.Info("keeper ends", "pid", os.Getpid())
	return ctx.Err()
}

type keeper struct {
	opt         Options
	ctx         context.Context // for everything that it does
	cancel      context.CancelFunc
	started     time.Time
	work        sync.WaitGroup // goroutines except those of clients
	clientsDone sync.WaitGroup
	changed     chan struct{} // one slot: the loop should look again

	mu       sync.Mutex
	listener *net.UnixListener // nil: given up
	held     *os.File          // the lock
	kept     map[place]*kept
	clients  int       // requests in progress
	streams  int       // of these, connections into instances
	last     time.Time // when there was last something to do
	rung     bool      // due work should be looked for
	busy     bool      // due work is being looked for
	runs     int       // pieces of due work in progress
	due      time.Time // when to look for due work
	dueErr   error
}

// ring makes the loop look again.
func (k *keeper) ring() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// loop starts due work and closes unused connections. It returns when the keeper should end.
func (k *keeper) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		wake := k.sweep(now, k.opt.Idle)
		k.mu.Lock()
		if !k.busy && k.listener != nil && (k.rung || !k.due.IsZero() && !now.Before(k.due)) {
			k.rung, k.busy, k.due = false, true, time.Time{}
			k.work.Go(k.doDue)
		}
		end := k.last.Add(k.opt.Idle)
		quiet := k.clients == 0 && !k.busy && k.runs == 0
		given := k.listener == nil
		due := k.due
		if given {
			due = time.Time{} // that is its successor's work
		}
		k.mu.Unlock()
		if quiet && (given || !now.Before(end)) {
			return
		}
		if quiet {
			wake = sooner(wake, end)
		}
		if wake = sooner(wake, due); !wake.IsZero() {
			timer.Reset(max(time.Until(wake), time.Millisecond))
		}
		select {
		case <-k.ctx.Done():
			return
		case <-k.changed:
		case <-timer.C:
		}
	}
}

// sooner returns the earlier time; zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// doDue ends connections of ended leases, begins due work, and notes when to look again.
func (k *keeper) doDue() {
	k.recheck(k.ctx, "")
	var next time.Time
	var err error
	if k.opt.Due != nil {
		next, err = k.opt.Due(k.ctx, k.run, k.again)
	}
	now := time.Now()
	if err != nil {
		k.opt.Log.Warn("due work", "err", err)
		if again := now.Add(dueAgain); next.Before(again) {
			next = again
		}
	}
	k.mu.Lock()
	k.busy, k.due, k.dueErr = false, next, err
	if err == nil { // an unreachable store does not keep the keeper alive
		k.last = now
	}
	k.mu.Unlock()
	k.ring()
}

// run runs a piece of due work.
func (k *keeper) run(do func()) {
	k.mu.Lock()
	k.runs++
	k.mu.Unlock()
	k.work.Go(func() {
		defer func() {
			k.mu.Lock()
			k.runs--
			k.last = time.Now()
			k.mu.Unlock()
			k.ring()
		}()
		do()
	})
}

// again makes the loop look for due work.
func (k *keeper) again() {
	k.mu.Lock()
	k.rung = true
	k.mu.Unlock()
	k.ring()
}

// giveUp releases the socket for another keeper, and closes unused connections.
func (k *keeper) giveUp() {
	k.mu.Lock()
	l, held := k.listener, k.held
	k.listener, k.held = nil, nil
	k.mu.Unlock()
	if l == nil {
		return
	}
	if err := os.Remove(k.opt.Socket); err != nil {
		k.opt.Log.Info("remove socket", "err", err)
	}
	l.Close()
	held.Close() // last: from here on another keeper may use the socket's name
	k.sweep(time.Now(), 0)
	k.ring()
}

// accept serves clients, each in its own goroutine, until the listener is closed.
func (k *keeper) accept(l *net.UnixListener) {
	for {
		c, err := l.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of files: some will be closed
			k.opt.Log.Warn("accept", "err", err)
			select {
			case <-k.ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		k.mu.Lock()
		k.clients++
		k.mu.Unlock()
		k.clientsDone.Go(func() {
			k.client(c)
			c.Close()
			k.mu.Lock()
			k.clients--
			k.last = time.Now()
			k.mu.Unlock()
			k.ring()
		})
	}
}

// client serves one request.
func (k *keeper) client(c *net.UnixConn) {
	if err := trusted(c); err != nil {
		k.opt.Log.Warn("refused", "err", err)
		return
	}
	c.SetReadDeadline(time.Now().Add(askTime))
	ending := context.AfterFunc(k.ctx, func() { c.SetReadDeadline(time.Unix(1, 0)) })
	r := bufio.NewReaderSize(c, 1024)
	var req request
	if err := readFrame(r, &req); err != nil || !ending() {
		return
	}
	c.SetReadDeadline(time.Time{})
	if req.Version != version || req.Build != "" && req.Build != k.opt.Build {
		if req.Verb != verbStop && req.Verb != verbStatus {
			writeFrame(c, &answer{Version: version, Other: true})
			return
		}
	}
	switch req.Verb {
	case verbConnect:
		k.connect(c, r, req)
	case verbBell:
		k.again()
		writeFrame(c, &answer{Version: version})
	case verbPing:
		writeFrame(c, &answer{Version: version})
	case verbStatus:
		writeFrame(c, &answer{Version: version, Status: k.status()})
	case verbStop:
		k.giveUp()
		writeFrame(c, &answer{Version: version})
	default:
		k.refuse(c, &compute.Error{Op: "keeper", Kind: compute.ErrInvalid, Err: fmt.Errorf("unknown verb %q", req.Verb)})
	}
}

// useSaying is use that tells the client from time to time that it must still wait.
func (k *keeper) useSaying(ctx context.Context, c net.Conn, key Key, who compute.Who) (*kept, error) {
	done, said := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(said)
		t := time.NewTicker(answerTime / 4)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				writeFrame(c, &answer{Version: version, Wait: true})
			case <-done:
				return
			}
		}
	}()
	e, err := k.use(ctx, key, who)
	close(done)
	<-said
	return e, err
}

func (k *keeper) refuse(c net.Conn, err error) {
	writeFrame(c, &answer{Version: version, Error: agent.AppendError(nil, err)})
}

// connect connects a client to an instance.
func (k *keeper) connect(c *net.UnixConn, r *bufio.Reader, req request) {
	ctx, cancel := context.WithCancelCause(k.ctx)
	defer cancel(nil)
	s := &stream{UnixConn: c, r: r, seen: make(chan struct{})}
	// cancel if the client goes away while a connection is being opened
	k.clientsDone.Go(func() { s.watch(func() { cancel(nil) }) })
	key, err := k.opt.Authorise(ctx, req.Who, req.Instance)
	if err == nil && req.Generation != 0 && req.Generation != key.Generation {
		err = stale(key)
	}
	if err != nil {
		k.recheck(k.ctx, req.Instance)
		k.refuse(c, err)
		return
	}
	e, err := k.useSaying(ctx, c, key, req.Who)
	if err != nil {
		k.refuse(c, err)
		return
	}
	defer k.leave(e)
	defer context.AfterFunc(e.life, func() { cancel(context.Cause(e.life)) })()
	if err := writeFrame(c, &answer{Version: version}); err != nil {
		return
	}
	k.mu.Lock()
	k.streams++
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		k.streams--
		k.mu.Unlock()
	}()
	var at sync.RWMutex
	k.clientsDone.Go(func() { k.outlast(ctx, e, &at, cancel) })
	if err := agent.Serve(ctx, s, watched{k, e, &at}, agent.Options{}); err != nil && ctx.Err() == nil {
		k.opt.Log.Debug("client", "instance", key.Instance, "err", err)
	}
}

// status returns a Status as JSON.
func (k *keeper) status() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	st := Status{PID: os.Getpid(), Build: k.opt.Build, Started: k.started, Clients: k.streams, Due: k.due,
		Busy: k.busy || k.runs > 0, Ending: k.listener == nil,
		Kept: []Kept{}}
	if k.dueErr != nil {
		st.Error = fault.Message(k.dueErr)
	}
	for _, e := range k.kept {
		st.Kept = append(st.Kept, Kept{Key: e.key, Users: e.users, Since: e.since, Used: e.used})
	}
	slices.SortFunc(st.Kept, func(a, b Kept) int { return cmp.Compare(a.Instance, b.Instance) })
	b, err := json.Marshal(st)
	if err != nil {
		return nil // a time out of JSON's range, which none here has
	}
	return b
}

// stream is a client's connection with a watch for its end.
type stream struct {
	*net.UnixConn
	r    *bufio.Reader
	seen chan struct{} // closed when watch has ended and the reader is free
}

// watch waits for the first byte, and calls gone if the client goes away before.
func (s *stream) watch(gone func()) {
	defer close(s.seen)
	if _, err := s.r.Peek(1); err != nil {
		gone()
	}
}

func (s *stream) Read(p []byte) (int, error) {
	<-s.seen
	return s.r.Read(p)
}
