package idempotency

import (
	"context"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// Store keeps the answers to requests with a key.
type Store interface {
	// Answer returns an answer; compute.ErrNotFound: there is none, or it was too long ago.
	Answer(ctx context.Context, owner, key string) (store.Answer, error)
	// Remember stores an answer soon and does not wait. Answer returns it from now on.
	Remember(a store.Answer)
}

// Keeper is a Store that can store an answer before it is sent. Requests for leases do not need
// that, as leases record the key of their request.
type Keeper interface {
	Store
	// Keep returns when the answer is stored.
	Keep(ctx context.Context, a store.Answer) error
}

// keyLock is a Store that other processes use too. It serves requests of the same key one after
// another.
type keyLock interface {
	Store
	// Turn waits until no other process serves the request of a mark. It keeps others from serving
	// it until end is called or this process ends.
	Turn(ctx context.Context, mark string) (end func(), err error)
}

// Shared is a Store that several controllers share. A controller gives nothing to a request that
// another has served: the engine then fails with store.ErrGiven.
type Shared interface {
	Store
	// Given returns the living leases that the request of a mark was given, and which controller
	// gave them.
	Given(ctx context.Context, mark string) (leases []compute.Lease, by Giver, err error)
}

// Giver says which controller gave the leases of a request.
type Giver int

// A controller that lives may still answer, or take the leases back.
const (
	GivenByDead Giver = iota
	GivenElsewhere
	GivenHere // by this controller
)
