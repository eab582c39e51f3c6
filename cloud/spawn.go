package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/backoff"
	"github.com/hostler-project/hostler/provider"
)

// Order describes a server to spawn. Flavor is required.
type Order struct {
	OS     string        // an image: its id, its name or the beginning of its name
	User   string        // the user who logs in; "": the usual one of the image
	Flavor string        // an id or a name; required
	Disk   int           // GiB at least; beyond the flavor's disk, the server boots from a volume
	TTD    time.Duration // destroy the server after it was used and idle for so long; 0: never
	// reachable from outside the cloud; the first such server is the head node
	ExternalIP bool

	Script        string // the script for WaitUntilReady; Matches compares it
	ConfigFiles   []File // the files for WaitUntilReady; Matches compares them
	DestroyScript string // run on the server before it is destroyed

	// UsingQuota is the moment to drop the caller's own reservation; it may be nil. Spawn calls it
	// exactly once: when the cloud's answer settles whether its own count has the server. If Spawn
	// gives up before it asks the cloud, it calls it then.
	UsingQuota func()
}

func kindOf(parts ...any) string { return fmt.Sprintf("%q", parts) }

// Spawn makes a server and waits until the cloud says that it runs. The server is recorded before
// the cloud is asked. If Spawn fails, it destroys the server. The error has the cloud's answer and
// the end of the server's console. After a failure the next Spawn waits a little first, and longer
// after each further failure.
//
// The server may still be booting: see WaitUntilReady. It counts down to its end after its first
// use, or when StartCountdown is called.
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
	login := Login{User: o.User, External: o.ExternalIP}
	p, err := c.logins.provider(ctx, login)
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
	if t := provider.Of(p).Choice.UserData; t != nil && (t.UserDataLimit() == 0 || t.UserDataLimit() >= len(userData)) {
		spec.UserData, r.Told = []byte(userData), true
	}
	defer c.markSpawning(r.Name)()
	if err := c.records.add(ctx, &r, c.opt.MaxServers); err != nil {
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
	return nil, c.destroyFailed(ctx, p, r, err)
}

// markSpawning keeps Recover away from a server that is being spawned here, until ended is called.
func (c *Cloud) markSpawning(name string) (ended func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spawning[name] = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.spawning, name)
	}
}

// answered records that the cloud has answered, so nothing is reserved for the server any more.
func (c *Cloud) answered(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.t.Dial)
	defer cancel()
	_, err := c.records.change(ctx, name, func(r *record) error { r.Answered = true; return nil })
	if err != nil && !errors.Is(err, compute.ErrNotFound) {
		c.log.Warn("quota stays reserved until the server runs or is gone", "server", name, "err", err)
	}
}

// backOff waits if the last spawns failed.
func (c *Cloud) backOff(ctx context.Context) error {
	c.mu.Lock()
	pause := c.t.pause(c.failures)
	c.mu.Unlock()
	if pause == 0 {
		return nil
	}
	return sleep(ctx, pause)
}

// pause returns the wait before the next spawn, after n failures.
func (t Timers) pause(n int) time.Duration {
	return backoff.Jitter(backoff.Exponential{First: t.Backoff, Most: t.MostBackoff, Factor: 1.5}.After(n))
}

// boot waits until the server that was asked for runs.
func (c *Cloud) boot(ctx context.Context, p compute.Provider, r record, volume bool) (*Server, error) {
	c.mu.Lock()
	usual := c.boots[volume].d
	c.mu.Unlock()
	limit := c.t.FirstSpawn
	if usual > 0 {
		limit = max(4*usual, c.t.LeastSpawn)
	}
	began := time.Now()
	var since time.Time // since when nothing has answered
	var conn compute.Conn
	for {
		try, stop := context.WithTimeout(ctx, c.t.Dial)
		var err error
		conn, err = p.Connect(try, compute.ID(r.Name))
		stop()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		// If nothing answers, either the cloud is away, or the server runs and cannot be reached.
		silent := errors.Is(err, compute.ErrUnavailable) && !errors.Is(err, compute.ErrNotReady) ||
			errors.Is(err, compute.ErrTimeout) || errors.Is(err, context.DeadlineExceeded)
		if silent && since.IsZero() {
			since = time.Now()
		}
		if err == nil || errors.Is(err, compute.ErrDenied) || silent && time.Since(since) >= c.t.SSH {
			break // WaitUntilReady finds out whether we can log in
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
	s, err := c.recordMade(ctx, p, r, conn)
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

// recordMade records that a server was made, and returns it.
func (c *Cloud) recordMade(ctx context.Context, p compute.Provider, r record, conn compute.Conn) (*Server, error) {
	if list, err := p.List(ctx); err == nil { // what it got while it was made, such as addresses
		for _, i := range list {
			if i.ID == compute.ID(r.Name) && i.Address != "" {
				r.IP, r.ID = i.Address, i.ProviderID
			}
		}
	}
	r, err := c.records.change(ctx, r.Name, func(now *record) error {
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
	s.life.claim()
	s.shell.line.set(conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	c.servers[r.Name] = s
	return s, nil
}

// destroyFailed destroys what a failed Spawn may have made, and returns an error with all that
// is known.
func (c *Cloud) destroyFailed(ctx context.Context, p compute.Provider, r record, err error) error {
	none := c.ErrIsNoHardware(err)
	c.mu.Lock()
	if ctx.Err() == nil { // otherwise nothing failed, and the caller only stopped
		c.failures++
	}
	if none {
		c.memory.Fail(r.Flavor.ID, time.Now())
	}
	c.mu.Unlock()
	// The server must go even if the caller has stopped waiting.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.t.Destroy+c.t.Dial)
	defer cancel()
	var asked error
	if !provider.WasUnasked(err) {
		err = c.withConsole(ctx, r, err)
		if _, e := c.records.change(
			ctx, r.Name, func(r *record) error { r.State = destroying; return nil },
		); e != nil && !errors.Is(e, compute.ErrNotFound) {
			asked = e
		} else {
			asked = c.destroyUntilGone(ctx, p, r, r.ID == "" && !isFinal(err))
		}
	}
	if asked == nil {
		asked = c.records.drop(ctx, r.Name)
	}
	if asked != nil {
		err = fmt.Errorf("%w; and it could not be destroyed again, which Recover or TearDown will do: %w", err, asked)
	}
	return &compute.Error{Op: "cloud.Spawn", ID: compute.ID(r.Name), Err: err, Hint: compute.Hint(err)}
}

// isFinal reports whether an error of Create is a final answer of the cloud, after which no server
// can appear.
func isFinal(err error) bool {
	for _, kind := range []error{compute.ErrNoCapacity, compute.ErrDenied, compute.ErrInvalid, compute.ErrNotFound, compute.ErrConflict} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// withConsole adds the end of a server's console to an error, if the cloud keeps one and the error
// lacks it.
func (c *Cloud) withConsole(ctx context.Context, r record, err error) error {
	p, e := c.logins.provider(ctx, r.Login)
	if e != nil {
		return err
	}
	console := provider.Of(p).Consoler
	if console == nil {
		return err
	}
	text, e := console.Console(ctx, compute.ID(r.Name))
	if text = tail(text); e != nil || text == "" || strings.Contains(err.Error(), "console") {
		return err
	}
	return fmt.Errorf("%w\nThe end of its console:\n%s", err, text)
}

// inNetwork reports whether an address is in a network. It is true if either is unknown.
func inNetwork(address, cidr string) bool {
	in, err := netip.ParsePrefix(cidr)
	ip, err2 := netip.ParseAddr(address)
	return err != nil || err2 != nil || in.Contains(ip)
}
