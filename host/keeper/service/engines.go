package service

import (
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/pool"
)

// overseePause is the longest wait before the keeper looks again whether a provider has to be asked
// about its instances. The engine decides when to ask.
const overseePause = time.Minute

// engines holds the keeper's engine. The engine and its providers stay open as long as the
// configuration is the same, so they notice changes of their instances. After a change of the
// configuration, the old engine is closed once nothing runs.
type engines struct {
	host   *host.Host // what the engines are made of
	listen chan bool  // there may be something to oversee

	mu   sync.Mutex
	now  *host.Host   // the host of the current engine; nil: none yet
	over []*host.Host // hosts of old configurations; running work may use them
	runs int
	// a task failed with this engine: a secret or a network that it was opened with may have
	// changed
	failed bool
	again  func()        // starts the next look at what is due
	engine chan struct{} // closed when there is an engine
}

func newEngines(h *host.Host) *engines {
	return &engines{host: h, listen: make(chan bool, 1), engine: make(chan struct{})}
}

// due starts what is due by the current configuration.
func (d *engines) due(ctx context.Context, run func(func()), again func()) (time.Time, error) {
	d.begin()
	defer d.end()
	engine, err := d.renew(ctx, again)
	if err != nil {
		return time.Time{}, err
	}
	defer d.ring()
	return engine.Reconcile(ctx, pool.ReconcileOptions{Go: d.counted(run), Done: again, Apart: true, Failed: func(err error) {
		d.host.Log.Warn("what is due", "err", err)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.failed = true
	}})
}

// renew reads the configuration, and makes a new engine if it has changed. The caller must have
// begun a task.
func (d *engines) renew(ctx context.Context, again func()) (*pool.Pool, error) {
	next := d.host.Afresh()
	engine, err := next.Engine(ctx) // opens no provider yet
	if err != nil {
		next.Close()
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.again = again
	if d.now != nil && sameConfig(d.now.Config(), next.Config()) && (!d.failed || len(d.over) > 0) {
		next.Close()
		return d.now.Opened(), nil
	}
	if d.now != nil {
		d.over = append(d.over, d.now)
	} else {
		close(d.engine)
	}
	d.now, d.failed = next, false
	return engine, nil
}

// oversee asks the providers about their instances until ctx ends. It is not work that keeps the
// keeper running.
func (d *engines) oversee(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	select {
	case <-ctx.Done():
		return
	case <-d.engine:
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.listen:
		case <-timer.C:
		}
		at := time.Now().Add(overseePause)
		if next := d.look(ctx, all.Go); !next.IsZero() && next.Before(at) {
			at = next
		}
		timer.Reset(time.Until(at))
	}
}

// look asks the providers once, and returns when to ask again.
func (d *engines) look(ctx context.Context, run func(func())) time.Time {
	d.begin()
	defer d.end()
	d.mu.Lock()
	engine, again := d.now.Opened(), d.again
	d.mu.Unlock()
	next, err := engine.WatchHealth(
		ctx,
		pool.ReconcileOptions{
			Go: d.counted(run), Done: again,
			Failed: func(err error) { d.host.Log.Warn("what has become of instances", "err", err) },
		},
		d.ring,
	)
	if err != nil && ctx.Err() == nil {
		d.host.Log.Warn("what has become of instances", "err", err)
	}
	return next
}

// ring makes oversee look.
func (d *engines) ring() {
	select {
	case d.listen <- true:
	default:
	}
}

// counted returns run with each task counted.
func (d *engines) counted(run func(func())) func(func()) {
	return func(do func()) {
		d.begin()
		run(func() {
			defer d.end()
			do()
		})
	}
}

func (d *engines) begin() {
	d.mu.Lock()
	d.runs++
	d.mu.Unlock()
}

// end closes old engines once nothing runs. Until then, tasks of a later engine may still use an
// earlier one, as they share their workers.
func (d *engines) end() {
	d.mu.Lock()
	var over []*host.Host
	if d.runs--; d.runs == 0 {
		over, d.over = d.over, nil
	}
	d.mu.Unlock()
	for _, h := range over {
		h.Close()
	}
}

// close closes everything. No task may be running.
func (d *engines) close() {
	d.begin()
	d.mu.Lock()
	if d.now != nil {
		d.over = append(d.over, d.now)
	}
	d.now = nil
	d.mu.Unlock()
	d.end()
}

// sameConfig reports whether engines of two configurations would do the same.
func sameConfig(a, b *config.Config) bool {
	return reflect.DeepEqual(a.Roots, b.Roots) && reflect.DeepEqual(a.Sources, b.Sources) && reflect.DeepEqual(a.Projects, b.Projects) &&
		reflect.DeepEqual(a.Defaults, b.Defaults) && reflect.DeepEqual(a.Sections, b.Sections) && reflect.DeepEqual(bundlesOf(a),
		bundlesOf(b))
}

// bundlesOf returns a configuration's bundles without facts that were found out later. Those of a
// source's bundles are in its digest.
func bundlesOf(c *config.Config) (out []config.Bundle) {
	for _, b := range c.Bundles {
		out = append(
			out,
			config.Bundle{
				Name: b.Name, Root: b.Root, File: b.File, Dir: b.Dir, Tree: b.Tree, Applied: b.Applied,
				Entries: b.Entries, Include: b.Include, Shadowed: b.Shadowed, Err: b.Err,
			},
		)
	}
	return out
}
