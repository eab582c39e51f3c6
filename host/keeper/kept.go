package keeper

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// Key identifies a connection: an instance under one lease. A later lease's connection is another.
type Key struct {
	Source     int64      `json:"source"` // the record of the source's definition
	Instance   compute.ID `json:"instance"`
	Generation int64      `json:"generation"`
	// set if the lease has only a part of the instance, as other leases have their own connections;
	// "" otherwise
	Lease string `json:"lease,omitempty"`
}

// place identifies what has at most one connection at a time.
type place struct {
	source   int64
	instance compute.ID
	lease    string
}

func (k Key) place() place { return place{k.Source, k.Instance, k.Lease} }

// kept is a connection that clients share. The keeper's mu guards its fields; conn and err do not
// change after ready is closed.
type kept struct {
	key   Key
	ready chan struct{} // closed when conn or err is set
	conn  compute.Conn
	err   error
	life  context.Context         // for opening it, and for what clients do through it
	stop  context.CancelCauseFunc // the cause is told to the clients

	who     compute.Who // the last user
	users   int
	since   time.Time
	used    time.Time
	retired bool // not in the map any more; closed when the last user leaves
	over    bool // its lease has ended
	shut    bool // it is being closed
}

// use returns the connection for key and counts a user. It opens one if there is none. The caller
// must call leave.
func (k *keeper) use(ctx context.Context, key Key, who compute.Who) (*kept, error) {
	for {
		e, err := k.join(ctx, key, who)
		if err != nil {
			return nil, err
		}
		k.mu.Lock()
		// by wall clock, as the monotonic clock stops while the machine sleeps
		old := time.Since(e.used.Round(0)) > k.opt.Rest
		k.mu.Unlock()
		if old && !healthy(ctx, e) {
			k.retire(e)
		}
		k.mu.Lock()
		over, retired := e.over, e.retired
		e.used = time.Now()
		k.mu.Unlock()
		switch {
		case over:
			k.leave(e)
			return nil, stale(key)
		case retired: // it broke meanwhile
			k.leave(e)
		default:
			return e, nil
		}
	}
}

// join counts a user of the connection for key, and waits until it is open.
func (k *keeper) join(ctx context.Context, key Key, who compute.Who) (*kept, error) {
	var old *kept
	k.mu.Lock()
	e := k.kept[key.place()]
	if e != nil && e.key.Generation > key.Generation {
		k.mu.Unlock()
		return nil, stale(key)
	}
	if e != nil && (e.key.Generation < key.Generation || ended(e)) {
		e, old = nil, e
	}
	if e == nil {
		e = &kept{key: key, ready: make(chan struct{}), since: time.Now()}
		e.life, e.stop = context.WithCancelCause(k.ctx)
		k.kept[key.place()] = e
		k.work.Go(func() { k.open(e, who) })
	}
	e.users++
	if e.who = who; key.Lease != "" { // later checks are about this lease
		e.who.Lease = key.Lease
	}
	k.mu.Unlock()
	if old != nil {
		k.discard(old, stale(old.key))
	}
	select {
	case <-e.ready:
		if e.err != nil {
			k.leave(e)
			return nil, e.err
		}
		return e, nil
	case <-ctx.Done():
		k.leave(e)
		return nil, ctx.Err()
	}
}

func stale(key Key) error {
	return &compute.Error{Op: "keeper", ID: key.Instance, Kind: compute.ErrStale, Err: errors.New("the instance was handed out anew")}
}

// healthy checks a connection that was unused for a while, so that a command does not fail over a
// link that broke while the machine slept.
func healthy(ctx context.Context, e *kept) bool {
	h, ok := provider.As[interface {
		Healthy(ctx context.Context) error
	}](e.conn)
	return !ok || h.Healthy(ctx) == nil || ctx.Err() != nil
}

// ended reports whether a connection says that it has ended.
func ended(e *kept) bool {
	select {
	case <-e.ready:
	default:
		return false
	}
	d, ok := provider.As[interface{ Done() <-chan struct{} }](e.conn)
	if !ok {
		return false
	}
	select {
	case <-d.Done():
		return true
	default:
		return false
	}
}

// open opens a kept connection and sets conn or err. A connection whose users have all gone
// meanwhile is closed again.
func (k *keeper) open(e *kept, who compute.Who) {
	start := time.Now()
	conn, err := k.opt.Open(e.life, e.key, who)
	k.mu.Lock()
	e.conn, e.err = conn, err
	e.since, e.used = time.Now(), time.Now()
	close(e.ready)
	gone := e.retired && e.users == 0
	if err != nil {
		k.removeLocked(e)
	}
	k.mu.Unlock()
	if err != nil {
		e.stop(nil)
		k.opt.Log.Info("open", "instance", e.key.Instance, "err", err, "took", time.Since(start))
		return
	}
	k.opt.Log.Info("open", "instance", e.key.Instance, "generation", e.key.Generation, "took", time.Since(start))
	if gone {
		k.shut(e)
	}
}

func (k *keeper) removeLocked(e *kept) {
	e.retired = true
	if k.kept[e.key.place()] == e {
		delete(k.kept, e.key.place())
	}
}

// outlast ends a client's connection after the instance's has ended, as an idle client would not
// notice. Running commands end first, as their errors say more: they hold at. It also returns when
// ctx ends.
func (k *keeper) outlast(ctx context.Context, e *kept, at *sync.RWMutex, end context.CancelCauseFunc) {
	d, ok := provider.As[interface{ Done() <-chan struct{} }](e.conn)
	if !ok {
		return
	}
	select {
	case <-d.Done():
	case <-ctx.Done():
		return
	}
	k.retire(e)
	at.Lock()
	defer at.Unlock()
	end(&compute.Error{Op: "keeper", ID: e.key.Instance, Kind: compute.ErrLost})
}

// leave counts a user out. The last user of a connection that is still being opened cancels that.
func (k *keeper) leave(e *kept) {
	k.mu.Lock()
	e.users--
	e.used = time.Now()
	last := e.users == 0
	opening := false
	select {
	case <-e.ready:
	default:
		opening = true
	}
	if last && opening {
		k.removeLocked(e)
	}
	gone := last && e.retired
	k.mu.Unlock()
	if gone && opening {
		e.stop(nil)
	} else if gone {
		k.shut(e)
	}
}

// retire keeps a broken connection from being given to others.
func (k *keeper) retire(e *kept) {
	k.mu.Lock()
	k.removeLocked(e)
	k.mu.Unlock()
}

// discard ends a connection at once, with everything that runs through it. cause is told to its
// clients.
func (k *keeper) discard(e *kept, cause error) {
	k.mu.Lock()
	k.removeLocked(e)
	e.over = true
	k.mu.Unlock()
	e.stop(cause)
	select {
	case <-e.ready:
		k.shut(e)
	default:
		// open sees its context end; if it succeeds all the same, its users find the connection
		// retired and leave
	}
}

// shut closes an open connection, once.
func (k *keeper) shut(e *kept) {
	e.stop(nil)
	k.mu.Lock()
	again := e.shut
	e.shut = true
	k.mu.Unlock()
	if again || e.conn == nil {
		return
	}
	k.work.Go(func() {
		if err := e.conn.Close(); err != nil {
			k.opt.Log.Info("close", "instance", e.key.Instance, "err", err)
		}
	})
}

// recheck ends connections whose lease has ended or changed hands. only: of this instance; "": all.
func (k *keeper) recheck(ctx context.Context, only compute.ID) {
	k.mu.Lock()
	var list []*kept
	who := make(map[*kept]compute.Who)
	for _, e := range k.kept {
		if only == "" || e.key.Instance == only {
			list = append(list, e)
			who[e] = e.who
		}
	}
	k.mu.Unlock()
	for _, e := range list {
		key, err := k.opt.Authorise(ctx, who[e], e.key.Instance)
		refused := errors.Is(err, compute.ErrConflict) || errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrDenied)
		if refused || err == nil && key != e.key {
			k.opt.Log.Info("lease ended", "instance", e.key.Instance, "generation", e.key.Generation)
			if err == nil {
				err = stale(e.key)
			}
			k.discard(e, err)
		}
	}
}

// sweep closes connections that were unused for idle, and returns when the next one will be due.
func (k *keeper) sweep(now time.Time, idle time.Duration) (next time.Time) {
	k.mu.Lock()
	var old []*kept
	for _, e := range k.kept {
		switch at := e.used.Add(idle); {
		case e.users > 0:
		case !at.After(now):
			k.removeLocked(e)
			old = append(old, e)
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	k.mu.Unlock()
	for _, e := range old {
		k.shut(e)
	}
	return next
}

// watched is a kept connection as one client uses it. It notices lost contact.
type watched struct {
	k  *keeper
	e  *kept
	at *sync.RWMutex // read-locked by operations in progress
}

func (w watched) see(err error) error {
	if errors.Is(err, compute.ErrLost) {
		w.k.retire(w.e)
	}
	return err
}

func (w watched) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	w.at.RLock()
	defer w.at.RUnlock()
	exit, err := w.e.conn.Run(ctx, cmd)
	return exit, w.see(err)
}

func (w watched) Put(ctx context.Context, dir string, tar io.Reader) error {
	w.at.RLock()
	defer w.at.RUnlock()
	return w.see(w.e.conn.Put(ctx, dir, tar))
}

func (w watched) Get(ctx context.Context, path string, out io.Writer) error {
	w.at.RLock()
	defer w.at.RUnlock()
	return w.see(w.e.conn.Get(ctx, path, out))
}

// Close leaves the connection to its other users.
func (w watched) Close() error { return nil }

// Unwrap returns the connection, for its optional abilities.
func (w watched) Unwrap() compute.Conn { return w.e.conn }
