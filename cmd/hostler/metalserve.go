package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/director/caching"
)

// keepImages keeps images ready on bare-metal nodes while the configuration says so, until ctx ends. Each configuration has a loop of its own; what the last one has begun is recorded.
func (k *controller) keepImages(ctx context.Context) {
	var m *metalMeters
	var lock *os.File
	defer func() {
		if lock != nil {
			_ = lock.Close()
		}
	}()
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
		switch {
		case err != nil:
			k.app.log.Error("no images are kept ready on bare metal", "err", err)
		case d.Scout != "":
			if lock == nil {
				lock = k.app.alone(inner)
			}
			if lock == nil {
				break
			}
			if m == nil {
				m = newMetalMeters(k.app.meters)
			}
			if err := k.images(inner, now.cfg, m); err != nil {
				k.app.log.Error("no images are kept ready on bare metal", "err", err)
			}
		}
		<-inner.Done() // another configuration, or the end
		cancel()
		<-ended
	}
}

// images is the loop by a configuration, until ctx ends.
func (k *controller) images(ctx context.Context, cfg *config.Config, m *metalMeters) error {
	opt, d, closer, err := k.app.metalOptions(ctx, cfg, k.app.store)
	defer closer()
	if err != nil {
		return err
	}
	opt.Leads = k.leads
	opt.Told = func(r *caching.Report) {
		m.round(r)
		if d.LogStatistics {
			logStatistics(k.app.log, r)
		}
	}
	l, err := caching.New(opt)
	if err != nil {
		return err
	}
	k.app.log.Info("keeping images ready on bare metal", "scout", d.Scout, "commander", d.Commander, "dry_run", opt.DryRun)
	return l.Run(ctx)
}

// alone waits until no other process keeps images ready by our state, and has that stay so until the file is closed; nil: ctx has ended before.
func (a *app) alone(ctx context.Context) *os.File {
	state, err := stateDir()
	for told := false; ctx.Err() == nil; told = true {
		var lock *os.File
		if err == nil {
			lock, err = lockAlone(filepath.Join(state, metalLock))
		}
		switch {
		case lock != nil:
			return lock
		case err != nil:
			a.log.Error("no images are kept ready on bare metal", "err", err)
			return nil
		case !told:
			a.log.Warn("another process keeps images ready on bare metal: its end is waited for")
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookAround):
		}
	}
	return nil
}
