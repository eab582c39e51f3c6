package sources

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/demand"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// Templates knows what instances are made of, and the images that were promoted.
type Templates struct {
	core      *state.Core
	providers *Providers
	reads     map[int64]templateRead     // by source key, as read for transactions under way
	inquiries map[int64]*TemplateReading // of templates, by source keys
}

func NewTemplates(c *state.Core, p *Providers) *Templates {
	return &Templates{core: c, providers: p, reads: map[int64]templateRead{}, inquiries: map[int64]*TemplateReading{}}
}

const MakeNotes = "made/" // and a record's key

func makeNoteName(key int64) string { return MakeNotes + strconv.FormatInt(key, 10) }

// ReadMakeNote returns the note of a source's record; the zero value: nothing is known.
func ReadMakeNote(tx store.Tx, key int64) (m state.MakeNote, err error) {
	_, err = store.ReadNote(tx, makeNoteName(key), &m)
	return m, err
}

func saveMakeNote(tx store.Tx, key int64, m state.MakeNote) error {
	return store.WriteNote(tx, makeNoteName(key), m)
}

// NoticeTemplate is template. If that differs from what this engine knew it notes the change.
// Two engines by different configurations note it once each, when they learn of theirs, and not
// in turn for ever. It is not called in a transaction.
func (p *Templates) NoticeTemplate(ctx context.Context, s *allocate.Source) string {
	return p.NoticeTemplateOf(ctx, s, p.Read(s))
}

// NoticeTemplateOf is notice with a read that was begun before.
func (p *Templates) NoticeTemplateOf(ctx context.Context, s *allocate.Source, r *TemplateReading) string {
	now, _ := p.template(ctx, s, r)
	key := p.core.KeyOf(s)
	p.core.Mu.Lock()
	known := p.core.At(s).Made.Template == now
	p.core.Mu.Unlock()
	if now == "" || known || key == 0 {
		return now
	}
	// the next look tries again
	if err := p.recordMake(ctx, s, key, now); err != nil && ctx.Err() == nil {
		p.core.Log.Warn("what instances are made of has changed, and that cannot be noted", "source", s.Name, "err", err)
	}
	return now
}

// recordMake stores that a source's instances are made of template now, if another engine has not.
func (p *Templates) recordMake(ctx context.Context, s *allocate.Source, key int64, template string) error {
	var m state.MakeNote
	changed := false
	err := p.core.Store.View(ctx, func(tx store.Tx) (err error) {
		m, err = ReadMakeNote(tx, key)
		return err
	})
	if err == nil && m.Template != template {
		err = p.core.Store.Update(ctx, func(tx store.Tx) error {
			was, err := ReadMakeNote(tx, key)
			if changed = was.Template != template; err != nil || !changed {
				m = was
				return err
			}
			rec, err := tx.SourceByKey(key)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(s.Definition)
			m = state.MakeNote{Template: template, Keys: hex.EncodeToString(sum[:8]), Since: time.Now(), Rolled: rec.Counts.Ready == 0}
			switch {
			case was.Template == "":
			case was.Keys != m.Keys:
				m.Changed = inventory.ChangedKeys
			default:
				m.Changed = inventory.ChangedTemplate
			}
			if m.Changed != "" {
				if err := p.forgive(tx, rec); err != nil {
					return err
				}
			}
			return saveMakeNote(tx, key, m)
		})
	}
	if err != nil {
		return err
	}
	p.Remember(s, m)
	if changed {
		p.core.Step("made:noted")
		p.core.Wake()
	}
	return nil
}

// Remember keeps the note in memory for hand-outs, which do not read it.
func (p *Templates) Remember(s *allocate.Source, m state.MakeNote) {
	p.core.Mu.Lock()
	defer p.core.Mu.Unlock()
	p.core.At(s).Made = m
}

// forgive ends pauses and counts of failures that come from what a source's instances were made of
// before. Where there was no room, one request tries whether there is for the new. A place that
// does not answer stays paused.
func (p *Templates) forgive(tx store.Tx, rec *store.SourceRecord) error {
	all, err := allocate.ReadBackoffs(tx, rec.Key)
	if err != nil {
		return err
	}
	now := time.Now()
	if len(all) > 0 {
		var left []allocate.Backoff
		for _, h := range all {
			if h.Full > 0 {
				h.Full, h.Paused = 1, now
				left = append(left, h)
			}
		}
		if err := SaveBackoffs(tx, rec.Key, left, now); err != nil {
			return err
		}
	}
	switch {
	case allocate.Unreachable(rec), rec.None():
		return nil
	case rec.Full > 0:
		rec.Full, rec.Paused = 1, now
	default:
		rec.Backoff = inventory.Backoff{}
	}
	return tx.SaveSource(rec)
}

// IsSuperseded reports whether a source's instances are not made of a template any more, as this
// engine or its successor knows. Then a failure of the template says nothing of the source.
func (p *Templates) IsSuperseded(name, template string) bool {
	c := p.core
	for next := c.Successor(); next != nil; next = c.Successor() {
		c = next
	}
	s := c.Sources[name]
	if template == "" || s == nil {
		return false
	}
	c.Mu.Lock()
	defer c.Mu.Unlock()
	m := c.At(s).Made
	return m.Template != "" && m.Template != template
}

// RecordMakeFailure notes that an instance made of a template, for a want, did not become ready.
func (p *Templates) RecordMakeFailure(tx store.Tx, key int64, template string, w demand.Demand, cause error) error {
	if template == "" || w != (demand.Demand{}) {
		return nil
	}
	m, err := ReadMakeNote(tx, key)
	if err != nil || m.Template != template || m.First != 0 {
		return err
	}
	m.Failed++
	m.Why = fault.Message(cause)
	return saveMakeNote(tx, key, m)
}

// recordUnmakeable notes why a template can make nothing, as its provider said before making
// anything: no instance has failed by that.
func (p *Templates) recordUnmakeable(tx store.Tx, key int64, template string, cause error) error {
	m, err := ReadMakeNote(tx, key)
	why := fault.Message(cause)
	if err != nil || template == "" || m.Template != template || m.First != 0 || m.Why == why {
		return err
	}
	m.Why = why
	return saveMakeNote(tx, key, m)
}

// RecordProof notes that an instance as the source makes them now became ready.
func (p *Templates) RecordProof(tx store.Tx, i *compute.Instance, w demand.Demand) error {
	template := i.Facts[provider.FactTemplate]
	if template == "" || w.Chosen() {
		return nil
	}
	m, err := ReadMakeNote(tx, i.SourceKey)
	if err != nil || m.Template != template || m.First != 0 {
		return err
	}
	m.First, m.Failed, m.Why = i.Row, 0, ""
	return saveMakeNote(tx, i.SourceKey, m)
}

// Rolled notes that no older ready instance is left.
func (p *Templates) Rolled(ctx context.Context, s *allocate.Source, template string) error {
	p.core.Mu.Lock()
	m := p.core.At(s).Made
	p.core.Mu.Unlock()
	if template == "" || m.Template != template || m.Rolled {
		return nil
	}
	key, done := p.core.KeyOf(s), false
	err := p.core.Store.Update(ctx, func(tx store.Tx) (err error) {
		if m, err = ReadMakeNote(tx, key); err != nil || m.Template != template {
			done = false
			return err
		}
		m.Rolled, done = true, true
		return saveMakeNote(tx, key, m)
	})
	if err == nil && done {
		p.Remember(s, m)
	}
	return err
}

// Newer returns the make that hand-outs prefer, as long as older ready instances are left; ok is
// false when all are alike.
func (p *Templates) Newer(s *allocate.Source) (m state.MakeNote, ok bool) {
	p.core.Mu.Lock()
	defer p.core.Mu.Unlock()
	m = p.core.At(s).Made
	return m, m.First != 0 && !m.Rolled
}
