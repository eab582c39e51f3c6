package controller

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server/idempotency"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
)

const (
	// after the request, and after the end of the leases it gave
	repliesKept = 24 * time.Hour
	// the same for commands that embed the engine, as they do not check every hour
	RepliesOld   = 7 * 24 * time.Hour
	repliesCheck = time.Hour             // how often old answers are deleted
	repliesBatch = 20 * time.Millisecond // so that several share a transaction
)

// replyStore stores the answers to requests with a key, a moment after they were sent. Leases
// are safe before that: their records have the key of the request.
type replyStore struct {
	store pool.Store
	log   *slog.Logger
	bell  chan struct{} // one slot: there is something to write

	mu      sync.Mutex
	pending map[[2]string]store.Answer
}

// NewReplyStore returns the answers to requests that a store keeps.
func NewReplyStore(s pool.Store, log *slog.Logger) *replyStore {
	return &replyStore{store: s, log: log, bell: make(chan struct{}, 1), pending: map[[2]string]store.Answer{}}
}

// Answer returns the stored or pending answer to a request.
func (k *replyStore) Answer(ctx context.Context, owner, key string) (out store.Answer, err error) {
	k.mu.Lock()
	out, ok := k.pending[[2]string{owner, key}]
	k.mu.Unlock()
	if ok {
		return out, nil
	}
	err = k.store.View(ctx, func(tx store.Tx) error {
		a, err := tx.Answer(owner, key)
		if err == nil {
			out = *a
		}
		return err
	})
	return out, err
}

// sharedReplies are replies in a store that several controllers share.
type sharedReplies struct {
	*replyStore
	shared host.SharedStore
}

// Given returns the leases that the request of a mark was given, and which controller gave them.
func (k sharedReplies) Given(ctx context.Context, mark string) (leases []compute.Lease, by idempotency.Giver, err error) {
	all, giver, err := k.shared.Given(ctx, mark)
	for _, l := range all {
		leases = append(leases, *l)
	}
	switch {
	case err != nil || len(leases) == 0:
	case giver == k.store.Worker():
		by = idempotency.GivenHere
	case k.store.Alive(giver):
		by = idempotency.GivenElsewhere
	}
	return leases, by, err
}

// localReplies are replies in a store that commands beside the controller use too.
type localReplies struct{ *replyStore }

// lockPoll is how often to check whether another process has served a request.
const lockPoll = 20 * time.Millisecond

// Turn waits until no other process serves the request. The kernel frees the row with its process.
func (k localReplies) Turn(ctx context.Context, mark string) (end func(), err error) {
	sum := sha256.Sum256([]byte(mark))
	// above all rows of instances; two keys that share a row only delay each other
	row := int64(1<<37 | binary.LittleEndian.Uint64(sum[:])>>27)
	for {
		end, ok, err := k.store.Slot(row, 1)
		if err != nil || ok {
			return end, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// durableReplies stores an answer before Remember returns, for a process that ends right after it.
type durableReplies struct {
	idempotency.Store
	own *replyStore
}

// Remember stores an answer. If that fails, the leases still tell of it as long as they live.
func (k durableReplies) Remember(a store.Answer) {
	ctx, cancel := context.WithTimeout(context.Background(), replyTimeout)
	defer cancel()
	if keeper, ok := k.Store.(idempotency.Keeper); ok {
		_ = keeper.Keep(ctx, a)
	}
}

// replyTimeout is how long a command waits for an answer to be stored.
const replyTimeout = 5 * time.Second

// Turn locks a row in a shared store too: a second process without capacity would otherwise wait
// for the first one's lease.
func (k durableReplies) Turn(ctx context.Context, mark string) (end func(), err error) {
	return localReplies{k.own}.Turn(ctx, mark)
}

// sharedDurableReplies is prompt for a store that several controllers share.
type sharedDurableReplies struct {
	durableReplies
	idempotency.Shared
}

func (k sharedDurableReplies) Answer(ctx context.Context, owner, key string) (store.Answer, error) {
	return k.durableReplies.Answer(ctx, owner, key)
}
func (k sharedDurableReplies) Remember(a store.Answer) { k.durableReplies.Remember(a) }

// idempotencyStore returns what a server stores its replies in.
func (k *replyStore) idempotencyStore() idempotency.Store {
	if shared, ok := k.store.(host.SharedStore); ok {
		return sharedReplies{k, shared}
	}
	return localReplies{k}
}

// Durable returns the same for a process that serves a single request.
func (k *replyStore) Durable() idempotency.Store {
	if shared, ok := k.store.(host.SharedStore); ok {
		replies := sharedReplies{k, shared}
		return sharedDurableReplies{durableReplies{replies, k}, replies}
	}
	return durableReplies{localReplies{k}, k}
}

// Remember stores an answer soon; Answer returns it at once.
func (k *replyStore) Remember(a store.Answer) {
	k.mu.Lock()
	k.pending[[2]string{a.Owner, a.Key}] = a
	k.mu.Unlock()
	select {
	case k.bell <- struct{}{}:
	default:
	}
}

// Keep stores an answer before it returns.
func (k *replyStore) Keep(ctx context.Context, a store.Answer) error {
	return k.store.Update(ctx, func(tx store.Tx) error { return tx.SaveAnswer(&a) })
}

// run writes answers until ctx ends, and then the rest.
func (k *replyStore) run(ctx context.Context) {
	old := time.NewTicker(repliesCheck)
	defer old.Stop()
	k.Drop(ctx, repliesKept)
	for {
		select {
		case <-ctx.Done():
			k.flush(context.WithoutCancel(ctx))
			return
		case <-old.C:
			k.Drop(ctx, repliesKept)
		case <-k.bell:
			select {
			case <-ctx.Done():
			case <-time.After(repliesBatch):
			}
			k.flush(ctx)
		}
	}
}

// Drop deletes answers older than age. Answers of living leases are dated now, so that they are
// kept as long after the leases have ended.
func (k *replyStore) Drop(ctx context.Context, age time.Duration) {
	now := time.Now()
	var living [][2]string
	err := k.store.View(ctx, func(tx store.Tx) error {
		living = nil
		leases, err := tx.Leases(inventory.LeaseQuery{})
		for _, l := range leases {
			if _, _, key := idempotency.KeyOf(*l); key != "" && now.Sub(l.Given) > repliesCheck {
				living = append(living, [2]string{l.Owner, key})
			}
		}
		return err
	})
	if err != nil {
		k.log.Warn("answers to requests with a key stay for now", "err", err)
		return
	}
	k.write(ctx, func(tx store.Tx) error {
		for _, id := range living {
			a, err := tx.Answer(id[0], id[1])
			if errors.Is(err, compute.ErrNotFound) {
				continue // another user made the request for this owner
			}
			if err != nil {
				return err
			}
			if a.Time.Before(now.Add(-repliesCheck)) {
				a.Time = now
				a.Body = append([]byte{}, a.Body...) // not nil, even if the request was given up
				if err := tx.SaveAnswer(a); err != nil {
					return err
				}
			}
		}
		return tx.DropAnswers(now.Add(-age))
	})
}

// flush writes what is pending. Answers that cannot be written stay in memory.
func (k *replyStore) flush(ctx context.Context) {
	k.mu.Lock()
	some := maps.Clone(k.pending)
	k.mu.Unlock()
	if len(some) == 0 {
		return
	}
	ok := k.write(ctx, func(tx store.Tx) error {
		for _, a := range some {
			if err := tx.SaveAnswer(&a); err != nil {
				return err
			}
		}
		return nil
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, a := range some {
		if (ok || time.Since(a.Time) > repliesKept) && k.pending[id].Time.Equal(a.Time) {
			delete(k.pending, id)
		}
	}
}

func (k *replyStore) write(ctx context.Context, f func(store.Tx) error) bool {
	err := k.store.Update(ctx, f)
	if err != nil && ctx.Err() == nil {
		k.log.Warn("answers to requests with a key are not written", "err", err)
	}
	return err == nil
}
