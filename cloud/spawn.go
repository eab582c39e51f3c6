package cloud

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/compute"
)

// Order is a server to spawn.
type Order struct {
	OS     string        // an image: its id or name, or what its name begins with
	User   string        // who logs in; "": whom the image is known for
	Flavor string        // an id or a name; required
	Disk   int           // GiB, at least; more than the flavor has: it boots from a volume
	TTD    time.Duration // it is destroyed when it was used and then idle for so long; 0: never
	// it is reached from outside of the cloud; the first such server is the head node
	ExternalIP bool

	Script        string // that WaitUntilReady is to run; for Matches
	ConfigFiles   []File // that it is to copy; for Matches
	DestroyScript string // run on the server before it is destroyed

	// UsingQuota is called exactly once, from within Spawn: as soon as the cloud has answered, so
	// that its own count of what is used has the server or never will, or else when Spawn gives up
	// before it asks. It is the moment to drop one's own reservation. It may be nil.
	UsingQuota func()
}

func kindOf(parts ...any) string { return fmt.Sprintf("%q", parts) }

// Spawn makes a server and waits until the cloud says that it runs. It is recorded before the cloud
// is asked; when Spawn fails it is destroyed again, and the error says what the cloud said, with
// the end of the server's console. After a failure the next Spawn waits a little first, and longer
// after each further one.
//
// The server may still be booting: see WaitUntilReady. It counts down to its end once it was used,
// or when StartCountdown is called.
func (c *Cloud) Spawn(ctx context.Context, o Order) (s *Server, err error) {
	signalled := false
	signal := func() {
		if !signalled && o.UsingQuota != nil {
			o.UsingQuota()
		}
		signalled = true
	}
	defer signal()
	if o.OS == "" {
		return nil, &compute.Error{Op: "cloud.Spawn", Kind: compute.ErrInvalid, Err: errors.New("which image?"), Hint: "set Order.OS"}
	}
	f, err := c.GetServerFlavor(ctx, o.Flavor)
	if err != nil {
		return nil, err
	}
	login := Login{o.User, o.ExternalIP}
	p, err := c.provider(ctx, login)
	if err != nil {
		return nil, err
	}
	if err := c.backOff(ctx); err != nil {
		return nil, err
	}
	r := record{State: creating, Owner: c.opt.Store.Worker(), Begun: c.now(),
		Name: c.opt.Resource + "-" + uuid.NewString(), OS: o.OS, Login: login, Flavor: f,
		Disk: max(o.Disk, f.Disk), TTD: o.TTD, Script: o.Script, DestroyScript: o.DestroyScript, Files: o.ConfigFiles}
	spec := compute.Spec{
		ID: compute.ID(r.Name), Source: c.opt.Resource, Installation: c.opt.Store.Installation(), Image: o.OS,
		Flavor: f.ID,
	}
	if o.Disk > f.Disk {
		spec.Disk = int64(o.Disk) << 30
	}
	if t, ok := compute.As[compute.UserDataTaker](p); ok && (t.UserDataLimit() == 0 || t.UserDataLimit() >= len(userData)) {
		spec.UserData, r.Told = []byte(userData), true
	}
	defer c.begun(r.Name)()
	if err := c.book.add(ctx, &r, c.opt.MaxServers); err != nil {
		return nil, &compute.Error{Op: "cloud.Spawn", ID: compute.ID(r.Name), Err: err}
	}
	i, err := p.Create(ctx, spec)
	c.answered(ctx, r.Name)
	signal()
	if err == nil {
		r.ID, r.IP = i.ProviderID, i.Address
		s, err = c.boot(ctx, p, r, o.Disk > f.Disk)
	}
	if err == nil {
		c.mu.Lock()
		c.failures = 0
		c.memory.Succeed(f.ID)
		c.mu.Unlock()
		return s, nil
	}
	return nil, c.giveUp(ctx, p, r, err)
}

// begun has Recover leave a server alone that is being spawned here, until ended is called.
func (c *Cloud) begun(name string) (ended func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spawning[name] = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.spawning, name)
	}
}

// answered records that the cloud has answered, so that nothing is reserved for a server any more.
func (c *Cloud) answered(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.t.Dial)
	defer cancel()
	_, err := c.book.change(ctx, name, func(r *record) error { r.Answered = true; return nil })
	if err != nil && !errors.Is(err, compute.ErrNotFound) {
		c.log.Warn("quota stays reserved until the server runs or is gone", "server", name, "err", err)
	}
}

// backOff waits, when the spawns before failed.
func (c *Cloud) backOff(ctx context.Context) error {
	c.mu.Lock()
	n := c.failures
	c.mu.Unlock()
	if n == 0 {
		return nil
	}
	return sleep(ctx, c.t.pause(n))
}

// pause is before the next try, when n failed.
func (t Timers) pause(n int) time.Duration {
	return jitter(time.Duration(min(float64(t.Backoff)*math.Pow(1.5, float64(n-1)), float64(t.MostBackoff))))
}

// boot waits until a server runs that was asked for.
func (c *Cloud) boot(ctx context.Context, p compute.Provider, r record, volume bool) (*Server, error) {
	c.mu.Lock()
	usual := c.boots[volume].d
	c.mu.Unlock()
	limit := c.t.FirstSpawn
	if usual > 0 {
		limit = max(4*usual, c.t.LeastSpawn)
	}
	began := time.Now()
	var since time.Time // nothing has answered
	var conn compute.Conn
	for {
		try, stop := context.WithTimeout(ctx, c.t.Dial)
		var err error
		conn, err = p.Connect(try, compute.ID(r.Name))
		stop()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		// Where nothing answers it is either the cloud or the server itself, which runs then and
		// cannot be reached.
		silent := errors.Is(err, compute.ErrUnavailable) && !errors.Is(err, compute.ErrNotReady) ||
			errors.Is(err, compute.ErrTimeout) || errors.Is(err, context.DeadlineExceeded)
		if silent && since.IsZero() {
			since = time.Now()
		}
		if err == nil || errors.Is(err, compute.ErrDenied) || silent && time.Since(since) >= c.t.SSH {
			break // whether it lets us in is for WaitUntilReady
		}
		waiting := silent || errors.Is(err, compute.ErrNotReady)
		if !waiting {
			return nil, fmt.Errorf("after %v: %w", time.Since(began).Round(time.Second), err)
		}
		if time.Since(began) >= limit {
			typical := "no server was made before"
			if usual > 0 {
				typical = fmt.Sprintf("usually it takes %v", usual.Round(time.Second))
			}
			return nil, &compute.Error{
				Kind: compute.ErrTimeout, Err: fmt.Errorf("not running after %v (%s): %w", limit, typical, err),
				Hint: "see whether the cloud has trouble, or try another flavor",
			}
		}
		if err := sleep(ctx, c.t.Poll); err != nil {
			return nil, err
		}
	}
	took := time.Since(began)
	s, err := c.keep(ctx, p, r, conn)
	if err != nil {
		if conn != nil {
			_ = conn.Close()
		}
		return nil, err
	}
	c.mu.Lock()
	c.boots[volume] = c.boots[volume].plus(took)
	c.mu.Unlock()
	return s, nil
}

// keep records that a server was made.
func (c *Cloud) keep(ctx context.Context, p compute.Provider, r record, conn compute.Conn) (*Server, error) {
	if list, err := p.List(ctx); err == nil { // what it was given while it was made
		for _, i := range list {
			if i.ID == compute.ID(r.Name) && i.Address != "" {
				r.IP, r.ID = i.Address, i.ProviderID
			}
		}
	}
	r, err := c.book.change(ctx, r.Name, func(now *record) error {
		if now.State != creating {
			return errors.New("it is being torn down")
		}
		now.State, now.ID, now.IP = made, r.ID, r.IP
		return nil
	})
	if err != nil {
		return nil, err
	}
	s := c.serverOf(r)
	s.ours, s.conn, s.reached = true, conn, conn != nil
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	c.servers[r.Name] = s
	return s, nil
}

// giveUp destroys what a Spawn that failed may have made, and says all that is known of it.
func (c *Cloud) giveUp(ctx context.Context, p compute.Provider, r record, err error) error {
	none := c.ErrIsNoHardware(err)
	c.mu.Lock()
	if ctx.Err() == nil { // else nothing failed: the caller wants it no more
		c.failures++
	}
	if none {
		c.memory.Fail(r.Flavor.ID, time.Now())
	}
	c.mu.Unlock()
	// The caller may have lost its patience, and the server is to go all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.t.Destroy+c.t.Dial)
	defer cancel()
	var asked error
	if !compute.WasUnasked(err) {
		err = c.explained(ctx, r, err)
		if _, e := c.book.change(
			ctx, r.Name, func(r *record) error { r.State = destroying; return nil },
		); e != nil && !errors.Is(e, compute.ErrNotFound) {
			asked = e
		} else {
			asked = c.destroyUntilGone(ctx, p, r, r.ID == "" && !refused(err))
		}
	}
	if asked == nil {
		asked = c.book.drop(ctx, r.Name)
	}
	if asked != nil {
		err = fmt.Errorf("%w; and it could not be destroyed again, which Recover or TearDown will do: %w", err, asked)
	}
	return &compute.Error{Op: "cloud.Spawn", ID: compute.ID(r.Name), Err: err, Hint: compute.Hint(err)}
}

// refused tells whether an error of Create is the cloud's answer that it does not make the server,
// so that none can come later.
func refused(err error) bool {
	for _, kind := range []error{compute.ErrNoCapacity, compute.ErrDenied, compute.ErrInvalid, compute.ErrNotFound, compute.ErrConflict} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// explained adds the end of a server's console to an error, where the cloud keeps one and the error
// does not tell it yet.
func (c *Cloud) explained(ctx context.Context, r record, err error) error {
	p, e := c.provider(ctx, r.Login)
	if e != nil {
		return err
	}
	console, ok := compute.As[compute.Consoler](p)
	if !ok {
		return err
	}
	text, e := console.Console(ctx, compute.ID(r.Name))
	if text = tail(text); e != nil || text == "" || strings.Contains(err.Error(), "console") {
		return err
	}
	return fmt.Errorf("%w\nThe end of its console:\n%s", err, text)
}

// inside tells whether an address is in a network; where either is not known, it is.
func inside(address, cidr string) bool {
	in, err := netip.ParsePrefix(cidr)
	ip, err2 := netip.ParseAddr(address)
	return err != nil || err2 != nil || in.Contains(ip)
}
