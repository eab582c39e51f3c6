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
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/pool"
)

const (
	// and as long as leases live that were given, and so long after their end
	answersKept = 24 * time.Hour
	// by commands that work by themselves, as nobody looks every hour
	AnswersOld    = 7 * 24 * time.Hour
	answersLook   = time.Hour             // for those that are older
	answersGather = 20 * time.Millisecond // so that many share a transaction
)

// answers keeps in the store what a controller answered to requests with a key. It writes behind
// their back: that leases were given is in the store before, with the requests' keys.
type answers struct {
	store pool.Store
	log   *slog.Logger
	bell  chan struct{} // 1 slot: there is something to write

	mu      sync.Mutex
	pending map[[2]string]compute.Answer
}

func NewAnswers(store pool.Store, log *slog.Logger) *answers {
	return &answers{store: store, log: log, bell: make(chan struct{}, 1), pending: map[[2]string]compute.Answer{}}
}

// errForgetful is for a store that keeps no answers: then they are told from memory, and from the
// leases.
var errForgetful = &compute.Error{Kind: compute.ErrNotFound, Err: errors.New("this store keeps no answers to requests with a key")}

// Answer returns what was answered.
func (k *answers) Answer(ctx context.Context, owner, key string) (out compute.Answer, err error) {
	k.mu.Lock()
	out, ok := k.pending[[2]string{owner, key}]
	k.mu.Unlock()
	if ok {
		return out, nil
	}
	err = k.store.View(ctx, func(tx compute.Tx) error {
		at, ok := tx.(compute.AnswerTx)
		if !ok {
			return errForgetful
		}
		a, err := at.Answer(owner, key)
		if err == nil {
			out = *a
		}
		return err
	})
	return out, err
}

// commonAnswers are those of a store that several controllers share.
type commonAnswers struct{ *answers }

// Given returns what was given to the request of a mark, and by whom.
func (k commonAnswers) Given(ctx context.Context, mark string) (leases []compute.Lease, by server.Giver, err error) {
	var giver int64
	err = k.store.View(ctx, func(tx compute.Tx) error {
		leases = nil
		gt, ok := tx.(compute.GivenTx)
		if !ok {
			return nil
		}
		all, by, err := gt.Given(mark)
		for _, l := range all {
			leases = append(leases, *l)
		}
		giver = by
		return err
	})
	switch {
	case err != nil || len(leases) == 0:
	case giver == k.store.Worker():
		by = server.GivenHere
	case k.store.Alive(giver):
		by = server.GivenElsewhere
	}
	return leases, by, err
}

// turns are answers that commands beside the controller have too.
type turns struct{ *answers }

// turnEvery is how often it is looked whether another process has served a request.
const turnEvery = 20 * time.Millisecond

// Turn waits until no other process serves a request. The kernel ends a turn with its process.
func (k turns) Turn(ctx context.Context, mark string) (end func(), err error) {
	sum := sha256.Sum256([]byte(mark))
	// above all that instances have; two that meet wait for each other in vain
	row := int64(1<<37 | binary.LittleEndian.Uint64(sum[:])>>27)
	for {
		end, ok, err := k.store.Slot(row, 1)
		if err != nil || ok {
			return end, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(turnEvery):
		}
	}
}

// prompt are answers that are on the disk when Remember returns, for who ends then.
type prompt struct {
	server.Memory
	own *answers
}

// Remember has an answer written. Where that fails the leases tell of it, as long as they live.
func (k prompt) Remember(a compute.Answer) {
	ctx, cancel := context.WithTimeout(context.Background(), answersPatience)
	defer cancel()
	if keeper, ok := k.Memory.(server.Keeper); ok {
		_ = keeper.Keep(ctx, a)
	}
}

// answersPatience is how long a command waits for the disk.
const answersPatience = 5 * time.Second

// Turn is that of turns, of a common store too: who has no room beside the first would wait for it
// otherwise.
func (k prompt) Turn(ctx context.Context, mark string) (end func(), err error) {
	return turns{k.own}.Turn(ctx, mark)
}

// promptCommon are those of a store that several controllers share.
type promptCommon struct {
	prompt
	server.Common
}

func (k promptCommon) Answer(ctx context.Context, owner, key string) (compute.Answer, error) {
	return k.prompt.Answer(ctx, owner, key)
}
func (k promptCommon) Remember(a compute.Answer) { k.prompt.Remember(a) }

// memory is what a server asks.
func (k *answers) memory() server.Memory {
	if _, ok := k.store.(host.SharedStore); ok {
		return commonAnswers{k}
	}
	return turns{k}
}

// Promptly is what one asks that serves one request.
func (k *answers) Promptly() server.Memory {
	if _, ok := k.store.(host.SharedStore); ok {
		return promptCommon{prompt{commonAnswers{k}, k}, commonAnswers{k}}
	}
	return prompt{turns{k}, k}
}

// Remember has an answer written soon.
func (k *answers) Remember(a compute.Answer) {
	k.mu.Lock()
	k.pending[[2]string{a.Owner, a.Key}] = a
	k.mu.Unlock()
	select {
	case k.bell <- struct{}{}:
	default:
	}
}

// Keep has an answer written before it returns. A store that keeps none is no reason not to answer.
func (k *answers) Keep(ctx context.Context, a compute.Answer) error {
	err := k.store.Update(ctx, func(tx compute.Tx) error {
		at, ok := tx.(compute.AnswerTx)
		if !ok {
			return errForgetful
		}
		return at.SaveAnswer(&a)
	})
	if errors.Is(err, errForgetful) {
		return nil
	}
	return err
}

// run writes what there is to write until ctx ends, and what is left then.
func (k *answers) run(ctx context.Context) {
	old := time.NewTicker(answersLook)
	defer old.Stop()
	k.Drop(ctx, answersKept)
	for {
		select {
		case <-ctx.Done():
			k.flush(context.WithoutCancel(ctx))
			return
		case <-old.C:
			k.Drop(ctx, answersKept)
		case <-k.bell:
			select {
			case <-ctx.Done():
			case <-time.After(answersGather):
			}
			k.flush(ctx)
		}
	}
}

// Drop forgets what is older than that. Answers that tell of leases that live are dated anew, so
// that they are remembered for as long after their end.
func (k *answers) Drop(ctx context.Context, age time.Duration) {
	now := time.Now()
	var living [][2]string
	err := k.store.View(ctx, func(tx compute.Tx) error {
		living = nil
		leases, err := tx.Leases(compute.LeaseQuery{})
		for _, l := range leases {
			if _, _, key := server.KeyOf(*l); key != "" && now.Sub(l.Given) > answersLook {
				living = append(living, [2]string{l.Owner, key})
			}
		}
		return err
	})
	if err != nil {
		k.log.Warn("answers to requests with a key stay for now", "err", err)
		return
	}
	k.write(ctx, func(tx compute.AnswerTx) error {
		for _, id := range living {
			a, err := tx.Answer(id[0], id[1])
			if errors.Is(err, compute.ErrNotFound) {
				continue // somebody else asked for him
			}
			if err != nil {
				return err
			}
			if a.Time.Before(now.Add(-answersLook)) {
				a.Time = now
				a.Body = append([]byte{}, a.Body...) // which is none where it was given up
				if err := tx.SaveAnswer(a); err != nil {
					return err
				}
			}
		}
		return tx.DropAnswers(now.Add(-age))
	})
}

// flush writes what is pending. What cannot be written stays, and is told from memory.
func (k *answers) flush(ctx context.Context) {
	k.mu.Lock()
	some := maps.Clone(k.pending)
	k.mu.Unlock()
	if len(some) == 0 {
		return
	}
	ok := k.write(ctx, func(tx compute.AnswerTx) error {
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
		if (ok || time.Since(a.Time) > answersKept) && k.pending[id].Time.Equal(a.Time) {
			delete(k.pending, id)
		}
	}
}

func (k *answers) write(ctx context.Context, f func(compute.AnswerTx) error) bool {
	err := k.store.Update(ctx, func(tx compute.Tx) error {
		at, ok := tx.(compute.AnswerTx)
		if !ok {
			return errForgetful
		}
		return f(at)
	})
	if err != nil && ctx.Err() == nil && !errors.Is(err, errForgetful) {
		k.log.Warn("answers to requests with a key are not written", "err", err)
	}
	return err == nil
}
