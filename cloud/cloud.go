package cloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/provider/flavor"
)

// Cloud is one project of a cloud, with what was made there under one resource name. Its methods
// are safe for concurrent use. Several processes may have the same Cloud open on one store. New
// makes one; the zero value is of no use.
type Cloud struct {
	opt     Options
	t       Timers
	log     *slog.Logger
	backend Backend
	records recordStore
	logins  *logins
	// ends with Close; background work, such as the end of an idle server, stops with it
	ctx    context.Context
	cancel context.CancelCauseFunc
	own    sync.WaitGroup // the background work
	uptime func() (run string, up time.Duration, err error)

	mu       sync.Mutex
	closed   bool
	servers  map[string]*Server // by name, the servers that this process spawned or took over
	spawning map[string]bool    // by name, the servers that this process is spawning
	table    *flavor.Table
	tableAt  time.Time
	memory   flavor.Memory
	failures int              // spawns that failed in a row
	boots    map[bool]average // how long servers took to boot, with and without a volume
	key      string           // private, PEM
}

// average is a moving average; zero means no value yet.
type average struct{ d time.Duration }

func (a average) plus(d time.Duration) average {
	if a.d == 0 {
		return average{d}
	}
	return average{(3*a.d + d) / 4}
}

// resources matches the allowed resource names.
var resources = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\w -]+$`) })

// New opens a cloud. It reads the store and logs in to the cloud, no more. Deploy or Recover take
// over servers of processes that have died. A forbidden resource name, an unknown provider or
// missing credentials give ErrInvalid.
func New(ctx context.Context, o Options) (*Cloud, error) {
	invalid := func(format string, a ...any) (*Cloud, error) {
		return nil, &compute.Error{Op: "cloud.New", ID: compute.ID(o.Resource), Kind: compute.ErrInvalid, Err: fmt.Errorf(format, a...)}
	}
	if !resources().MatchString(o.Resource) {
		return invalid("resource name prefix contains disallowed characters: letters, digits, _, - and spaces are allowed")
	}
	if o.Store == nil {
		return invalid("a store is missing, such as one that sqlite.Open returns")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Open == nil {
		open, ok := openers[o.Provider]
		if !ok {
			_, err := variablesOf(o.Provider)
			return nil, err
		}
		o.Open = open
	}
	t := o.Timers.complete()
	c := &Cloud{opt: o, t: t, log: o.Log, records: recordStore{o.Store, o.Resource}, servers: map[string]*Server{},
		spawning: map[string]bool{}, boots: map[bool]average{}, uptime: proc.Uptime,
		memory: flavor.Memory{Failed: t.Failed, Picked: t.Pick}}
	door, err := o.Open(ctx, Setup{Resource: o.Resource, Store: o.Store, Dir: o.Dir, Log: o.Log})
	if err != nil {
		return nil, err
	}
	c.backend = door
	c.logins = &logins{all: map[Login]*openProvider{}, open: func(ctx context.Context, l Login) (compute.Provider, error) {
		if _, err := c.checkProject(ctx); err != nil {
			return nil, err
		}
		return door.Servers(ctx, o.deployment(nil), l)
	}}
	c.ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	return c, nil
}

// errClosed is the cause with which work ends when a Cloud is closed.
var errClosed = errors.New("the cloud was closed")

// Close ends what this process does with the cloud: countdowns, connections and the commands on
// them. Servers stay; the next process to open the cloud gets them by Recover. Close the cloud
// before the store.
func (c *Cloud) Close() error {
	c.mu.Lock()
	c.closed = true
	servers := make([]*Server, 0, len(c.servers))
	for _, s := range c.servers {
		servers = append(servers, s)
	}
	c.mu.Unlock()
	c.cancel(errClosed)
	for _, s := range servers {
		s.life.stopCountdown()
		s.health.stopTimer()
	}
	c.own.Wait()
	var errs []error
	us := c.opt.Store.Worker()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), c.t.Dial)
	defer cancel()
	for _, s := range servers {
		errs = append(errs, s.shell.line.disconnect())
		_, err := c.records.change(ctx, s.Name, func(r *record) error {
			if r.Owner == us {
				r.Owner = 0
			}
			return nil
		})
		if !errors.Is(err, compute.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// now reads the clocks that records have. The cloud's own times are not used.
func (c *Cloud) now() proc.Reading { return proc.Read(c.uptime) }

// background runs f in the background, unless the cloud is closed.
func (c *Cloud) background(f func(context.Context)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.own.Go(func() { f(c.ctx) })
}

// ErrIsNoHardware reports whether an error of Spawn says that the cloud had no room for a server of
// that flavor.
func (c *Cloud) ErrIsNoHardware(err error) bool { return err != nil && c.backend.NoHardware(err) }

// sleep waits for d. It returns the cause of ctx if that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
