package main

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
func (k *controller) appliedBook() *applied.Book {
	return newBook(k.host, func(ctx context.Context, q compute.LeaseQuery) ([]compute.Lease, error) {
		return k.now.Load().engine.Leases(ctx, q)
	}, func(ctx context.Context) error {
		_, err := k.reload(ctx)
		return err
	})
}

// syncApplied shows what the store has to the configuration, and tells whether that is something
// else than what is in force. Another controller may have shown it.
func (k *controller) syncApplied(ctx context.Context) (changed bool, err error) {
	m, err := host.AppliedMirror(k.now.Load().cfg)
	if err == nil {
		err = m.Sync(ctx, k.host.Store())
	}
	return err == nil && m.Mark() != k.now.Load().mark, err
}

// caller is somebody who applies something. The controller's own user, and root, have programs run
// there anyway; not so whoever has come by a token.
func (k *controller) caller(p auth.Principal) applied.Caller {
	return applied.Caller{Name: p.Name, May: p.Via == "socket" && (p.Own || p.Here && p.Name == userName(0))}
}

// Applied lists what was applied with all of some labels, without files.
func (k *controller) Applied(ctx context.Context, labels map[string]string) (api.AppliedSet, error) {
	return k.book.List(ctx, labels)
}

// AppliedThing is one of it, with its files.
func (k *controller) AppliedThing(ctx context.Context, kind, name string) (api.AppliedThing, error) {
	return k.book.Get(ctx, kind, name)
}

// Apply has a set applied on somebody's behalf.
func (k *controller) Apply(ctx context.Context, p auth.Principal, set api.ApplySet) (api.ApplyAnswer, error) {
	return k.book.Apply(ctx, k.caller(p), set)
}

// PutApplied has one thing applied. revision: only if it is at that one; 0: at any. none: only if
// it is not there.
func (k *controller) PutApplied(
	ctx context.Context, p auth.Principal, kind, name string, put api.PutThing, revision int64, none bool,
) (api.AppliedThing, error) {
	return k.book.Put(ctx, k.caller(p), kind, name, put, applied.Match{Revision: revision, None: none})
}

// DeleteApplied takes one thing away.
func (k *controller) DeleteApplied(ctx context.Context, p auth.Principal, kind, name string, revision int64) error {
	return k.book.Delete(ctx, k.caller(p), kind, name, applied.Match{Revision: revision})
}

const (
	followPause = time.Second      // between two looks: others write all the time
	followTick  = 10 * time.Second // and nobody may have told of it
)

// followApplied takes up what others have applied on the same store, until ctx ends.
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
				k.log.Info("what others have applied is in force")
			}
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			k.log.Error("what others have applied cannot be taken up, and is tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(followPause):
		}
	}
}
