package sources

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// What instances are made of stands in files as a rule. A read from a file server that is away
// blocks, whatever its context says. So each read has a goroutine of its own, one at a time for a
// source, and no caller waits for it longer than some seconds. A source whose file hangs does not
// hold up the others.

const (
	readPatience = 2 * time.Second
	// how long a result that came after its caller had gone is still good
	readFresh = time.Minute
)

// TemplateReading is a read that is under way, or that ended after its callers had stopped
// waiting. Its goroutine ends with the read: only the end of the process ends one that hangs.
type TemplateReading struct {
	until time.Time     // nobody waits longer
	done  chan struct{} // closed at its end
	now   string        // set before that
	told  bool          // set before that: the read succeeded
	ended time.Time     // guarded by Core.Mu; zero: it is under way
	said  bool          // the log says that it takes long; guarded by Core.Mu
}

// templateOf returns how to read what instances of a source would be made from now; nil: its
// provider does not tell, or is not open.
func (p *Providers) templateOf(s *allocate.Source) func() (string, error) {
	o := p.Ready(p.core.KeyOf(s))
	if o == nil || o.Err != nil {
		return nil
	}
	return o.Template
}

// Read begins to read what instances of a source would be made from now, unless that is under way.
// It returns nil if the provider does not tell, or is not open. To read several sources, call read
// for all of them first, so that their waits overlap.
func (p *Templates) Read(s *allocate.Source) *TemplateReading {
	read := p.providers.templateOf(s)
	if read == nil {
		return nil
	}
	p.core.Mu.Lock()
	defer p.core.Mu.Unlock()
	key := p.core.At(s).Key
	if r := p.inquiries[key]; r != nil && (r.ended.IsZero() || time.Since(r.ended) < readFresh) {
		return r
	}
	r := &TemplateReading{until: time.Now().Add(readPatience), done: make(chan struct{})}
	p.inquiries[key] = r
	go func() {
		now, err := read()
		if err == nil { // the request that makes an instance gets the error
			r.now, r.told = now, true
		}
		p.core.Mu.Lock()
		defer p.core.Mu.Unlock()
		if r.ended = time.Now(); !r.told || r.ended.Before(r.until) {
			delete(p.inquiries, key)
		}
		close(r.done)
	}()
	return r
}

// template returns what instances of a source would be made from now, by a read of it; "": its
// provider does not tell. told is false if the read failed or hangs. It may wait, so it is not
// called in a transaction, which would hold up all others.
func (p *Templates) template(ctx context.Context, s *allocate.Source, r *TemplateReading) (now string, told bool) {
	if r == nil {
		return "", true
	}
	select {
	case <-r.done:
		return r.now, r.told
	default:
	}
	wait := time.NewTimer(time.Until(r.until))
	defer wait.Stop()
	select {
	case <-r.done:
		return r.now, r.told
	case <-ctx.Done():
		return "", false
	case <-wait.C:
	}
	p.core.Mu.Lock()
	said := r.said
	r.said = true
	p.core.Mu.Unlock()
	if !said {
		p.core.Log.Warn(
			"what instances are made of is not read yet, as if a file server hangs: what stands ready is not replaced until it is",
			"source", s.Name, "waited", readPatience,
		)
	}
	return "", false
}

// templateRead is a template as it was read for transactions under way.
type templateRead struct {
	now  string
	told bool
	many int // such transactions
}

// ErrUnread asks for a source's template to be read outside of the transaction, and for another
// try.
type ErrUnread struct{ Source *allocate.Source }

func (e *ErrUnread) Error() string { return "template of " + e.Source.Name + " is not read" }

// NoteTemplate reads a source's template for a transaction, until forgetTemplate.
func (p *Templates) NoteTemplate(ctx context.Context, s *allocate.Source) {
	now, told := p.template(ctx, s, p.Read(s))
	key := p.core.KeyOf(s)
	p.core.Mu.Lock()
	defer p.core.Mu.Unlock()
	p.reads[key] = templateRead{now, told, p.reads[key].many + 1}
}

// ForgetTemplate is called with the lock held.
func (p *Templates) ForgetTemplate(key int64) {
	if t := p.reads[key]; t.many > 1 {
		t.many--
		p.reads[key] = t
	} else {
		delete(p.reads, key)
	}
}

// OfOldTemplate reports whether an instance, or one behind it, was made from a template that has
// changed since: no cleaning makes it like a new one. If the present template is not known, the
// last note counts. The transaction is one of withOpen.
func (p *Templates) OfOldTemplate(tx store.Tx, i *compute.Instance) (bool, error) {
	for {
		if s := p.core.Sources[i.Source]; s != nil && p.core.KeyOf(s) == i.SourceKey {
			if p.providers.templateOf(s) != nil {
				p.core.Mu.Lock()
				t, read := p.reads[i.SourceKey]
				p.core.Mu.Unlock()
				if !read {
					return false, &ErrUnread{s}
				}
				now := t.now
				if !t.told {
					m, err := ReadMakeNote(tx, i.SourceKey)
					if err != nil {
						return false, err
					}
					now = m.Template
				}
				if now != "" && i.Facts[provider.FactTemplate] != now {
					return true, nil
				}
			}
		}
		if i.Child == "" {
			return false, nil
		}
		var err error
		if i, err = tx.Instance(i.Child); errors.Is(err, compute.ErrNotFound) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
}
