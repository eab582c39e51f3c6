package state

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/text/nearest"
)

// Find returns a configured source that is not broken.
func (p *Core) Find(name string) (*allocate.Source, error) {
	s, ok := p.Sources[name]
	if !ok {
		return nil, &compute.Error{
			ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no such source"),
			Hint: p.nearest(name),
		}
	}
	return s, s.Err
}

func (p *Core) nearest(name string) string {
	best := nearest.Meant(name, slices.Collect(maps.Keys(p.Sources)))
	if best == "" {
		return "`hostler source list` shows those that there are"
	}
	return fmt.Sprintf("did you mean %q? `hostler source list` shows all", best)
}

// Configured returns the configured source that a record belongs to, or nil when its definition is
// not the one of today.
func (p *Core) Configured(rec *store.SourceRecord) *allocate.Source {
	if s := p.Sources[rec.Name]; s != nil && s.Digest == rec.Digest {
		return s
	}
	return nil
}

// SourceOf returns the source that decides how a record's instances end: the configured one, or
// what was kept of it. The latter has only hooks and what becomes of failed instances.
func (p *Core) SourceOf(rec *store.SourceRecord) *allocate.Source {
	if s := p.Configured(rec); s != nil {
		return s
	}
	s := &allocate.Source{Name: rec.Name, Type: rec.Type, Digest: rec.Digest, Definition: rec.Definition, Record: rec.Key}
	if p.Opt.Kept != nil {
		s.Hooks, s.OnFailure, s.ConfirmDead = p.Opt.Kept(rec.Definition)
	}
	return s
}

// At returns what this engine knows of a source. The caller holds p.mu.
func (p *Core) At(s *allocate.Source) *sourceState {
	if st := p.states[s]; st != nil {
		return st
	}
	return &sourceState{Key: s.Record}
}

// KeyOf returns the key of a source's record; 0: not known yet.
func (p *Core) KeyOf(s *allocate.Source) int64 {
	p.Mu.Lock()
	defer p.Mu.Unlock()
	return p.At(s).Key
}

// What instances are made of may change while their source's record stays: the user edits a
// template's file, or keys of a source whose provider says by itself what its computers were made
// of. The store has a note of it with the source's record. The note says since when it is so,
// whether an instance of it has become ready, and if not, why not.

// MakeNote is that note.
type MakeNote struct {
	Template string `json:"template"` // as the provider tells it
	// a digest of the definition that was read with it
	Keys string `json:"keys"`
	// what was changed at Since; "": nothing was made before
	Changed string    `json:"changed,omitempty"`
	Since   time.Time `json:"since"`
	// the row of the first instance of it that became ready; 0: none has
	First  int64  `json:"first,omitempty"`
	Failed int    `json:"failed,omitempty"` // how many did not, before the first that did
	Why    string `json:"why,omitempty"`
	Rolled bool   `json:"rolled,omitempty"` // no older ready instance is left
}
