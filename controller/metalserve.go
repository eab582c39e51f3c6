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

// The pauses after which a controller tries again to keep images ready, where it could not begin:
// the first, doubled with each further failure, and the longest.
const (
	metalPause        = 5 * time.Second
	longestMetalPause = 10 * time.Minute
)

// keepImages keeps images ready on bare-metal nodes while the configuration says so, until ctx
// ends. Each configuration has a loop of its own; what the last one has begun is recorded.
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
		<-inner.Done() // another configuration, or the end
		cancel()
		<-ended
	}
}

// imagesBy keeps images ready by a configuration, until ctx ends. Where it cannot begin, as what it
// asks for is not there yet, it tries again, less and less often. No other process does so by our
// state meanwhile, but for the pauses.
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

// alarm records that something stands, or with an empty text that it is over. Of several
// controllers on a store the one that directs does.
func (k *Controller) alarm(ctx context.Context, what, text string) {
	if !k.leads() {
		return
	}
	if err := caching.Raise(ctx, k.Host.Store(), what, text); err != nil && ctx.Err() == nil {
		k.Log.Warn("an alarm could not be recorded", "alarm", what, "err", err)
	}
}

// images is the loop by a configuration, until ctx ends.
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
	opt.Leads() // so that nobody else begins before the first round
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

// MetalTurn tells whether it is this controller that keeps images ready: the one that directs,
// unless another process on the store does so by another state directory. It says so once.
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

// waitAlone waits until no other process keeps images ready by our state, and has that stay so
// until the file is closed; nil without an error: ctx has ended before.
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

// MetalLock is the file that one process at a time has a lock on that keeps images cached by a
// state.
const MetalLock = "director-metal.lock"
