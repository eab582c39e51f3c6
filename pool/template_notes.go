package pool

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/demand"
	"github.com/hostler-project/hostler/store"
)

// What instances are made of may change while their source's record stays: the user edits a
// template's file, or keys of a source whose provider says by itself what its computers were made
// of. The store has a note of it with the source's record. The note says since when it is so,
// whether an instance of it has become ready, and if not, why not.

// makeNote is that note.
type makeNote struct {
	Template string `json:"template"` // as compute.Templated tells it
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

const makeNotes = "made/" // and a record's key

func makeNoteName(key int64) string { return makeNotes + strconv.FormatInt(key, 10) }

// readMakeNote returns the note of a source's record; the zero value: nothing is known.
func readMakeNote(tx store.Tx, key int64) (m makeNote, err error) {
	text, err := tx.Note(makeNoteName(key))
	if errors.Is(err, compute.ErrNotFound) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &m)
	}
	return m, err
}

func saveMakeNote(tx store.Tx, key int64, m makeNote) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return tx.SaveNote(makeNoteName(key), string(text))
}

// noticeTemplate is template. If that differs from what this engine knew it notes the change.
// Two engines by different configurations note it once each, when they learn of theirs, and not
// in turn for ever. It is not called in a transaction.
func (p *templates) noticeTemplate(ctx context.Context, s *Source) string {
	return p.noticeTemplateOf(ctx, s, p.read(s))
}

// noticeTemplateOf is notice with a read that was begun before.
func (p *templates) noticeTemplateOf(ctx context.Context, s *Source, r *templateReading) string {
	now, _ := p.template(ctx, s, r)
	key := p.core.keyOf(s)
	p.core.mu.Lock()
	known := p.core.at(s).made.Template == now
	p.core.mu.Unlock()
	if now == "" || known || key == 0 {
		return now
	}
	// the next look tries again
	if err := p.recordMake(ctx, s, key, now); err != nil && ctx.Err() == nil {
		p.core.log.Warn("what instances are made of has changed, and that cannot be noted", "source", s.Name, "err", err)
	}
	return now
}

// recordMake stores that a source's instances are made of template now, if another engine has not.
func (p *templates) recordMake(ctx context.Context, s *Source, key int64, template string) error {
	var m makeNote
	changed := false
	err := p.core.store.View(ctx, func(tx store.Tx) (err error) {
		m, err = readMakeNote(tx, key)
		return err
	})
	if err == nil && m.Template != template {
		err = p.core.store.Update(ctx, func(tx store.Tx) error {
			was, err := readMakeNote(tx, key)
			if changed = was.Template != template; err != nil || !changed {
				m = was
				return err
			}
			rec, err := tx.SourceByKey(key)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(s.Definition)
			m = makeNote{Template: template, Keys: hex.EncodeToString(sum[:8]), Since: time.Now(), Rolled: rec.Counts.Ready == 0}
			switch {
			case was.Template == "":
			case was.Keys != m.Keys:
				m.Changed = compute.ChangedKeys
			default:
				m.Changed = compute.ChangedTemplate
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
	p.remember(s, m)
	if changed {
		p.core.step("made:noted")
		p.core.wake()
	}
	return nil
}

// remember keeps the note in memory for hand-outs, which do not read it.
func (p *templates) remember(s *Source, m makeNote) {
	p.core.mu.Lock()
	defer p.core.mu.Unlock()
	p.core.at(s).made = m
}

// forgive ends pauses and counts of failures that come from what a source's instances were made of
// before. Where there was no room, one request tries whether there is for the new. A place that
// does not answer stays paused.
func (p *templates) forgive(tx store.Tx, rec *store.SourceRecord) error {
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
		if err := saveBackoffs(tx, rec.Key, left, now); err != nil {
			return err
		}
	}
	switch {
	case allocate.Unreachable(rec), rec.None():
		return nil
	case rec.Full > 0:
		rec.Full, rec.Paused = 1, now
	default:
		rec.Backoff = compute.Backoff{}
	}
	return tx.SaveSource(rec)
}

// isSuperseded reports whether a source's instances are not made of a template any more, as this
// engine or its successor knows. Then a failure of the template says nothing of the source.
func (p *templates) isSuperseded(name, template string) bool {
	c := p.core
	for next := c.successor(); next != nil; next = c.successor() {
		c = next
	}
	s := c.sources[name]
	if template == "" || s == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.at(s).made
	return m.Template != "" && m.Template != template
}

// recordMakeFailure notes that an instance made of a template, for a want, did not become ready.
func (p *templates) recordMakeFailure(tx store.Tx, key int64, template string, w demand.Demand, cause error) error {
	if template == "" || w != (demand.Demand{}) {
		return nil
	}
	m, err := readMakeNote(tx, key)
	if err != nil || m.Template != template || m.First != 0 {
		return err
	}
	m.Failed++
	m.Why = compute.Said(cause)
	return saveMakeNote(tx, key, m)
}

// recordUnmakeable notes why a template can make nothing, as its provider said before making
// anything: no instance has failed by that.
func (p *templates) recordUnmakeable(tx store.Tx, key int64, template string, cause error) error {
	m, err := readMakeNote(tx, key)
	why := compute.Said(cause)
	if err != nil || template == "" || m.Template != template || m.First != 0 || m.Why == why {
		return err
	}
	m.Why = why
	return saveMakeNote(tx, key, m)
}

// recordProof notes that an instance as the source makes them now became ready.
func (p *templates) recordProof(tx store.Tx, i *compute.Instance, w demand.Demand) error {
	template := i.Facts[compute.FactTemplate]
	if template == "" || w.Chosen() {
		return nil
	}
	m, err := readMakeNote(tx, i.SourceKey)
	if err != nil || m.Template != template || m.First != 0 {
		return err
	}
	m.First, m.Failed, m.Why = i.Row, 0, ""
	return saveMakeNote(tx, i.SourceKey, m)
}

// rolled notes that no older ready instance is left.
func (p *templates) rolled(ctx context.Context, s *Source, template string) error {
	p.core.mu.Lock()
	m := p.core.at(s).made
	p.core.mu.Unlock()
	if template == "" || m.Template != template || m.Rolled {
		return nil
	}
	key, done := p.core.keyOf(s), false
	err := p.core.store.Update(ctx, func(tx store.Tx) (err error) {
		if m, err = readMakeNote(tx, key); err != nil || m.Template != template {
			done = false
			return err
		}
		m.Rolled, done = true, true
		return saveMakeNote(tx, key, m)
	})
	if err == nil && done {
		p.remember(s, m)
	}
	return err
}

// unready returns, by record, the sources with no instance ready since what they make was changed.
// It says why: an instance failed, or none can be made.
func unready(tx store.Tx) (map[int64]*compute.Unready, error) {
	all, err := tx.Notes(makeNotes)
	if err != nil {
		return nil, err
	}
	out := map[int64]*compute.Unready{}
	for name, text := range all {
		key, err := strconv.ParseInt(strings.TrimPrefix(name, makeNotes), 10, 64)
		var m makeNote
		if err == nil {
			err = json.Unmarshal([]byte(text), &m)
		}
		if err != nil {
			return nil, fmt.Errorf("note %s: %w", name, err)
		}
		if m.First == 0 && (m.Failed > 0 || m.Why != "") {
			out[key] = &compute.Unready{Since: m.Since, Changed: m.Changed, Failures: m.Failed, Why: m.Why}
		}
	}
	return out, nil
}

// newer returns the make that hand-outs prefer, as long as older ready instances are left; ok is
// false when all are alike.
func (p *templates) newer(s *Source) (m makeNote, ok bool) {
	p.core.mu.Lock()
	defer p.core.mu.Unlock()
	m = p.core.at(s).made
	return m, m.First != 0 && !m.Rolled
}
