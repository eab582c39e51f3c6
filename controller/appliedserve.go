package controller

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/applied"
	"github.com/hostler-project/hostler/host"
)

// appliedBook is what a controller applies things by.
func (k *Controller) appliedBook() *applied.Book {
	return NewBook(k.Host, func(ctx context.Context, q compute.LeaseQuery) ([]compute.Lease, error) {
		return k.now.Load().engine.Leases(ctx, q)
	}, func(ctx context.Context) error {
		_, err := k.reload(ctx)
		return err
	})
}

// syncApplied shows what the store has to the configuration, and tells whether that is something
// else than what is in force. Another controller may have shown it.
func (k *Controller) syncApplied(ctx context.Context) (changed bool, err error) {
	m, err := host.AppliedMirror(k.now.Load().cfg)
	if err == nil {
		err = m.Sync(ctx, k.Host.Store())
	}
	return err == nil && m.Mark() != k.now.Load().mark, err
}

// caller is somebody who applies something. The controller's own user, and root, have programs run
// there anyway; not so whoever has come by a token.
func (k *Controller) caller(p auth.Principal) applied.Caller {
	return applied.Caller{Name: p.Name, May: p.Via == "socket" && (p.Own || p.Here && p.Name == UserName(0))}
}

// Applied lists what was applied with all of some labels, without files.
func (k *Controller) Applied(ctx context.Context, labels map[string]string) (api.AppliedSet, error) {
	return k.book.List(ctx, labels)
}

// AppliedThing is one of it, with its files.
func (k *Controller) AppliedThing(ctx context.Context, kind, name string) (api.AppliedThing, error) {
	return k.book.Get(ctx, kind, name)
}

// Apply has a set applied on somebody's behalf.
func (k *Controller) Apply(ctx context.Context, p auth.Principal, set api.ApplySet) (api.ApplyAnswer, error) {
	return k.book.Apply(ctx, k.caller(p), set)
}

// PutApplied has one thing applied. revision: only if it is at that one; 0: at any. none: only if
// it is not there.
func (k *Controller) PutApplied(
	ctx context.Context, p auth.Principal, kind, name string, put api.PutThing, revision int64, none bool,
) (api.AppliedThing, error) {
	return k.book.Put(ctx, k.caller(p), kind, name, put, applied.Match{Revision: revision, None: none})
}

// DeleteApplied takes one thing away.
func (k *Controller) DeleteApplied(ctx context.Context, p auth.Principal, kind, name string, revision int64) error {
	return k.book.Delete(ctx, k.caller(p), kind, name, applied.Match{Revision: revision})
}

const (
	followPause = time.Second      // between two looks: others write all the time
	followTick  = 10 * time.Second // and nobody may have told of it
)

// followApplied takes up what others have applied on the same store, until ctx ends.
func (k *Controller) followApplied(ctx context.Context) {
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
