package controller

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/applied"
	"github.com/hostler-project/hostler/controller/callers"
	"github.com/hostler-project/hostler/host"
)

// appliedBook returns the controller's book of applied things.
func (k *controller) appliedBook() *applied.Store {
	return newBook(k.Host, func(ctx context.Context, q inventory.LeaseQuery) ([]compute.Lease, error) {
		return k.now.Load().engine.Leases(ctx, q)
	}, func(ctx context.Context) error {
		_, err := k.reload(ctx)
		return err
	})
}

// syncApplied writes what is applied from the store to the mirror directory. changed: the mirror
// differs from the configuration in force; another controller may have written it.
func (k *controller) syncApplied(ctx context.Context) (changed bool, err error) {
	m, err := host.AppliedMirror(k.now.Load().cfg)
	if err == nil {
		err = m.Sync(ctx, k.Host.Store())
	}
	return err == nil && m.Mark() != k.now.Load().mark, err
}

// callerOf returns the caller for the book. The controller's own user and root may run programs on
// this machine anyway, so they may apply them; a caller with a token may not.
func callerOf(p auth.Principal) applied.Caller {
	return applied.Caller{Name: p.Name, May: p.Via == "socket" && (p.Own || p.Here && p.Name == callers.UserName(0))}
}

// appliedFor applies things for callers of the API.
type appliedFor struct{ book *applied.Store }

// Applied lists the things that have all of the labels, without files.
func (a appliedFor) Applied(ctx context.Context, labels map[string]string) (api.AppliedSet, error) {
	return a.book.List(ctx, labels)
}

// AppliedThing returns one applied thing, with its files.
func (a appliedFor) AppliedThing(ctx context.Context, kind, name string) (api.AppliedThing, error) {
	return a.book.Get(ctx, kind, name)
}

// Apply applies a set for a caller.
func (a appliedFor) Apply(ctx context.Context, p auth.Principal, set api.ApplySet) (api.ApplyAnswer, error) {
	return a.book.Apply(ctx, callerOf(p), set)
}

// PutApplied applies one thing. revision: only if it is at that revision; 0: any. none: only if it
// does not exist.
func (a appliedFor) PutApplied(
	ctx context.Context, p auth.Principal, kind, name string, put api.PutThing, revision int64, none bool,
) (api.AppliedThing, error) {
	return a.book.Put(ctx, callerOf(p), kind, name, put, applied.Match{Revision: revision, None: none})
}

// DeleteApplied removes one applied thing.
func (a appliedFor) DeleteApplied(ctx context.Context, p auth.Principal, kind, name string, revision int64) error {
	return a.book.Delete(ctx, callerOf(p), kind, name, applied.Match{Revision: revision})
}

const (
	followPause = time.Second      // between two checks, as others write all the time
	followTick  = 10 * time.Second // a check without a notification
)

// followApplied reloads when other controllers have applied something to the store, until ctx ends.
func (k *controller) followApplied(ctx context.Context) {
	tick := time.NewTicker(followTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.others:
		case <-tick.C:
		}
		changed, err := k.syncApplied(ctx)
		if changed {
			if _, err = k.reload(ctx); err == nil {
				k.Log.Info("what others have applied is in force")
			}
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			k.Log.Error("what others have applied cannot be taken up, and is tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(followPause):
		}
	}
}
