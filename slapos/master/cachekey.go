package master

import (
	"context"

	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/record"
)

// A CacheKey is all that the answer to a request without changes rests on: records of the memory,
// which are replaced when they change.
type CacheKey struct {
	name         string // of the instance
	found, asker *record.Instance
	computer     *record.Computer
	at, part     string // where the asker says that it is
	as           string // the instance that asks by its own certificate
}

// valid says whether all that an answer rests on is still so. It is asked of the memory.
func (r *CacheKey) valid(b ledger.View) bool {
	if n, err := b.Named(r.name); err != nil || n != r.found {
		return false
	}
	if r.at != "" {
		if n, err := b.At(r.at, r.part); err != nil || n != r.asker {
			return false
		}
	}
	if r.as != "" {
		if n, err := b.Instance(r.as); err != nil || n != r.asker {
			return false
		}
	}
	c, err := b.Computer(r.found.Computer)
	return err == nil && c == r.computer
}

// StillValid says whether the answer to a request that was answered before is still the same.
func (m *requests) StillValid(ctx context.Context, r *CacheKey) (stands bool, err error) {
	if err := m.ledger.Refresh(ctx); err != nil {
		return false, err
	}
	err = m.ledger.Read(func(b ledger.View) error { stands = r.valid(b); return nil })
	return stands, err
}

// cacheKeyOf is what the answer to a request rests on that found an instance at its place, in the
// memory, and changed nothing; nil of another.
func (a *requestState) cacheKeyOf(b ledger.View) *CacheKey {
	if a.found == nil || a.found.Partition == "" || a.Shared {
		return nil
	}
	r := &CacheKey{name: a.name(), found: a.found, asker: a.caller, at: a.Computer, part: a.Partition, as: a.who.Instance}
	r.computer, _ = b.Computer(a.found.Computer)
	if !r.valid(b) {
		return nil
	}
	return r
}
