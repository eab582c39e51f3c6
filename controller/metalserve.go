package controller

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/director/caching"
	"github.com/hostler-project/hostler/host"
)

// The first and the longest pause before the loop that keeps images ready is started again. The
// pause doubles with each failure.
const (
	metalPause        = 5 * time.Second
	longestMetalPause = 10 * time.Minute
)

// keepImages keeps images ready on bare-metal nodes while the configuration says so, until ctx
// ends. Each configuration has its own loop; work that the last one began is recorded.
func (k *Controller) keepImages(ctx context.Context) {
	var m *metalMeters
	for ctx.Err() == nil {
		now := k.now.Load()
		inner, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			select {
			case <-now.over:
				cancel()
			case <-inner.Done():
			}
		}()
		d, err := readMetalDirecting(now.cfg)
		if (err != nil || d.Scout != "") && m == nil {
			m = NewMetalMeters(k.meters)
		}
		if err != nil || d.Scout != "" {
			k.imagesBy(inner, now.cfg, m)
		} else {
			m.off()
			for _, what := range []string{caching.AlarmStopped, caching.AlarmSuspended, caching.AlarmHeld} {
				k.alarm(inner, what, "")
			}
		}
		<-inner.Done() // a new configuration, or the end
		cancel()
		<-ended
	}
}

// imagesBy runs the loop for a configuration until ctx ends. If the loop cannot start, it is tried
// again with growing pauses. A lock keeps other processes of the same state directory from running
// it, except during the pauses.
func (k *Controller) imagesBy(ctx context.Context, cfg *config.Config, m *metalMeters) {
	said := ""
	for pause := metalPause; ctx.Err() == nil; pause = min(2*pause, longestMetalPause) {
		err := k.images(ctx, cfg, m)
		if err == nil || ctx.Err() != nil {
			return
		}
		log := k.Log.Debug
		if why := term.ErrorText(err); said != why {
			log, said = k.Log.Error, why
		}
		log("no images are kept ready on bare metal", "err", err, "again_in", pause)
		m.stopped()
		k.alarm(ctx, caching.AlarmStopped, said)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// alarm records an alarm, or with an empty text its end. Of several controllers on a store, only
// the leader does.
func (k *Controller) alarm(ctx context.Context, what, text string) {
	if !k.leads() {
		return
	}
	if err := caching.Raise(ctx, k.Host.Store(), what, text); err != nil && ctx.Err() == nil {
		k.Log.Warn("an alarm could not be recorded", "alarm", what, "err", err)
	}
}

// images runs the loop for a configuration until ctx ends.
func (k *Controller) images(ctx context.Context, cfg *config.Config, m *metalMeters) error {
	lock, err := waitAlone(ctx, k.Log)
	if lock == nil {
		return err
	}
	defer lock.Close()
	opt, d, closer, err := (&MetalSetup{k.Log, k.Host}).Options(ctx, cfg, k.Host.Store())
	defer closer()
	if err != nil {
		return err
	}
	t := &Turn{Place: MetalPlace}
	defer t.End()
	opt.Leads = k.MetalTurn(t)
	opt.Leads() // so that no other process begins before the first round
	opt.Told = func(r *caching.Report) {
		m.Round(r)
		if d.LogStatistics {
			LogStatistics(k.Log, r)
		}
	}
	l, err := caching.New(opt)
	if err != nil {
		return err
	}
	m.begun()
	k.alarm(ctx, caching.AlarmStopped, "")
	k.Log.Info("keeping images ready on bare metal", "scout", d.Scout, "commander", d.Commander, "dry_run", opt.DryRun)
	return l.Run(ctx)
}

// MetalTurn returns whether this controller keeps images ready: it must lead, and no other process
// on the store may do so from another state directory. A wait is logged once.
func (k *Controller) MetalTurn(t *Turn) func() bool {
	told := false
	return func() bool {
		if !k.leads() {
			t.End()
			return false
		}
		ours := t.has(k.Host.Store())
		t.mu.Lock()
		defer t.mu.Unlock()
		if !ours && !told {
			k.Log.Warn("another process on this store keeps images ready on bare metal: its end is waited for")
		}
		told = !ours
		return ours
	}
}

// waitAlone waits until no other process of this state directory keeps images ready, and returns
// the file whose lock keeps others out. nil without an error: ctx has ended.
func waitAlone(ctx context.Context, log *slog.Logger) (*os.File, error) {
	state, err := host.StateDir()
	if err != nil {
		return nil, err
	}
	for told := false; ctx.Err() == nil; told = true {
		lock, err := host.LockAlone(filepath.Join(state, MetalLock))
		if lock != nil || err != nil {
			return lock, err
		}
		if !told {
			log.Warn("another process keeps images ready on bare metal: its end is waited for")
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookAround):
		}
	}
	return nil, nil
}

// MetalLock is the lock file of the one process per state directory that keeps images cached.
const MetalLock = "director-metal.lock"
