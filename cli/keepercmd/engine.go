package keepercmd

import (
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/pool"
)

// overseePause is how long the keeper waits at most before it sees whether there is anything of
// which a provider is to be asked what has become of it. Asking is the engine's to time.
const overseePause = time.Minute

// keeperEngine is the keeper's engine. It stays the same one, with its providers open, as long as
// the configuration is the same, so that they hear of what becomes of their instances. It is closed
// when the configuration is another and nothing runs any more.
type keeperEngine struct {
	host   *host.Host // of which the engines are made
	listen chan bool  // of one: there may be something to oversee

	mu   sync.Mutex
	now  *host.Host   // with the engine; nil: there is none yet
	over []*host.Host // by configurations that count no more: what runs may be of theirs
	runs int
	// something did by this engine: what it was opened with, as a secret or a deployment's network,
	// may be another now
	failed bool
	again  func()        // has what is due looked for
	engine chan struct{} // closed when there is one
}

func newKeeperEngine(h *host.Host) *keeperEngine {
	return &keeperEngine{host: h, listen: make(chan bool, 1), engine: make(chan struct{})}
}

// due begins what is due by the configuration as it is now.
func (d *keeperEngine) due(ctx context.Context, run func(func()), again func()) (time.Time, error) {
	d.begin()
	defer d.end()
	engine, err := d.renew(ctx, again)
	if err != nil {
		return time.Time{}, err
	}
	defer d.ring()
	return engine.Tend(ctx, pool.Tending{Go: d.counted(run), Done: again, Apart: true, Failed: func(err error) {
		d.host.Log.Warn("what is due", "err", err)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.failed = true
	}})
}

// renew reads the configuration, and makes another engine if it is another. Whoever calls it has
// begun something.
func (d *keeperEngine) renew(ctx context.Context, again func()) (*pool.Pool, error) {
	next := d.host.Afresh()
	engine, err := next.Engine(ctx) // it opens no provider before one is needed
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

// oversee asks the providers what has become of their instances, until ctx ends. The keeper does
// not stay for that: it is no work.
func (d *keeperEngine) oversee(ctx context.Context) {
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

// look has them asked once, and tells when they are to be asked again.
func (d *keeperEngine) look(ctx context.Context, run func(func())) time.Time {
	d.begin()
	defer d.end()
	d.mu.Lock()
	engine, again := d.now.Opened(), d.again
	d.mu.Unlock()
	next, err := engine.Oversee(
		ctx,
		pool.Tending{
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

// ring has oversee look.
func (d *keeperEngine) ring() {
	select {
	case d.listen <- true:
	default:
	}
}

// counted has what is run begun and ended.
func (d *keeperEngine) counted(run func(func())) func(func()) {
	return func(do func()) {
		d.begin()
		run(func() {
			defer d.end()
			do()
		})
	}
}

func (d *keeperEngine) begin() {
	d.mu.Lock()
	d.runs++
	d.mu.Unlock()
}

// end closes what is of no use any more when nothing runs: until then also what a later engine
// began may work with an earlier one, as they share their lanes.
func (d *keeperEngine) end() {
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

// close closes it all. Nothing runs any more.
func (d *keeperEngine) close() {
	d.begin()
	d.mu.Lock()
	if d.now != nil {
		d.over = append(d.over, d.now)
	}
	d.now = nil
	d.mu.Unlock()
	d.end()
}

// sameConfig tells whether engines by two configurations would do the same.
func sameConfig(a, b *config.Config) bool {
	return reflect.DeepEqual(a.Roots, b.Roots) && reflect.DeepEqual(a.Sources, b.Sources) && reflect.DeepEqual(a.Projects, b.Projects) &&
		reflect.DeepEqual(a.Defaults, b.Defaults) && reflect.DeepEqual(a.Sections, b.Sections) && reflect.DeepEqual(bundlesOf(a),
		bundlesOf(b))
}

// bundlesOf are a configuration's bundles without what was found out about them since: what a
// source's hold is in its digest.
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
