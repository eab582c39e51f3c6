package imagecache

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/backoff"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/exclusive"
	"github.com/hostler-project/hostler/director/imagecache"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/observe/metric"
)

// restart is the pause before the loop that keeps images ready is started again.
var restart = backoff.Exponential{First: 5 * time.Second, Most: 10 * time.Minute}

// lockPause is the pause between two tries to be the only process of a state directory.
const lockPause = 10 * time.Second

// Loop keeps images ready by the current configuration.
type Loop struct {
	Log      *slog.Logger
	Host     *host.Host
	Registry *metric.Registry // nil: nothing is measured
	Leads    func() bool      // whether this controller directs
	// Now returns the configuration, and a channel that is closed when another one replaces it.
	Now func() (cfg *config.Config, over <-chan struct{})
}

// Run keeps images ready on bare-metal nodes while the configuration says so, until ctx
// ends. Each configuration has its own loop; work that the last one began is recorded.
func (k *Loop) Run(ctx context.Context) {
	var m *Metrics
	for ctx.Err() == nil {
		cfg, over := k.Now()
		inner, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			select {
			case <-over:
				cancel()
			case <-inner.Done():
			}
		}()
		d, err := readSection(cfg)
		if (err != nil || d.Scout != "") && m == nil {
			m = NewMetrics(k.Registry)
		}
		if err != nil || d.Scout != "" {
			k.retry(inner, cfg, m)
		} else {
			m.off()
			for _, what := range []string{imagecache.AlarmStopped, imagecache.AlarmSuspended, imagecache.AlarmHeld} {
				k.alarm(inner, what, "")
			}
		}
		<-inner.Done() // a new configuration, or the end
		cancel()
		<-ended
	}
}

// retry runs the loop for a configuration until ctx ends. If the loop cannot start, it is tried
// again with growing pauses. A lock keeps other processes of the same state directory from running
// it, except during the pauses.
func (k *Loop) retry(ctx context.Context, cfg *config.Config, m *Metrics) {
	said := ""
	for n := 1; ctx.Err() == nil; n++ {
		pause := restart.After(n)
		err := k.runOnce(ctx, cfg, m)
		if err == nil || ctx.Err() != nil {
			return
		}
		log := k.Log.Debug
		if why := term.ErrorText(err); said != why {
			log, said = k.Log.Error, why
		}
		log("no images are kept ready on bare metal", "err", err, "again_in", pause)
		m.stopped()
		k.alarm(ctx, imagecache.AlarmStopped, said)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// alarm records an alarm, or with an empty text its end. Of several controllers on a store, only
// the leader does.
func (k *Loop) alarm(ctx context.Context, what, text string) {
	if !k.Leads() {
		return
	}
	if err := imagecache.Raise(ctx, k.Host.Store(), what, text); err != nil && ctx.Err() == nil {
		k.Log.Warn("an alarm could not be recorded", "alarm", what, "err", err)
	}
}

// runOnce runs the loop for a configuration until ctx ends.
func (k *Loop) runOnce(ctx context.Context, cfg *config.Config, m *Metrics) error {
	lock, err := waitExclusive(ctx, k.Log)
	if lock == nil {
		return err
	}
	defer lock.Close()
	opt, d, closer, err := (&Setup{k.Log, k.Host}).Options(ctx, cfg, k.Host.Store())
	defer closer()
	if err != nil {
		return err
	}
	t := &exclusive.Task{Row: exclusive.ImageCache}
	defer t.Release()
	opt.Leads = k.Turn(t)
	opt.Leads() // so that no other process begins before the first round
	opt.Told = func(r *imagecache.Report) {
		m.Round(r)
		if d.LogStatistics {
			LogStatistics(k.Log, r)
		}
	}
	l, err := imagecache.New(opt)
	if err != nil {
		return err
	}
	m.begun()
	k.alarm(ctx, imagecache.AlarmStopped, "")
	k.Log.Info("keeping images ready on bare metal", "scout", d.Scout, "commander", d.Commander, "dry_run", opt.DryRun)
	return l.Run(ctx)
}

// Turn returns whether this controller keeps images ready: it must lead, and no other process
// on the store may do so from another state directory. A wait is logged once.
func (k *Loop) Turn(t *exclusive.Task) func() bool {
	var mu sync.Mutex
	told := false
	return func() bool {
		if !k.Leads() {
			t.Release()
			return false
		}
		ours := t.Acquire(k.Host.Store())
		mu.Lock()
		defer mu.Unlock()
		if !ours && !told {
			k.Log.Warn("another process on this store keeps images ready on bare metal: its end is waited for")
		}
		told = !ours
		return ours
	}
}

// waitExclusive waits until no other process of this state directory keeps images ready, and
// returns the file whose lock keeps others out. nil without an error: ctx has ended.
func waitExclusive(ctx context.Context, log *slog.Logger) (*os.File, error) {
	state, err := host.StateDir()
	if err != nil {
		return nil, err
	}
	for told := false; ctx.Err() == nil; told = true {
		lock, err := host.LockAlone(filepath.Join(state, Lock))
		if lock != nil || err != nil {
			return lock, err
		}
		if !told {
			log.Warn("another process keeps images ready on bare metal: its end is waited for")
		}
		select {
		case <-ctx.Done():
		case <-time.After(lockPause):
		}
	}
	return nil, nil
}

// Lock is the lock file of the one process per state directory that keeps images cached.
const Lock = "director-metal.lock"
