package pool

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// What instances are made of is in files as a rule, and a file server that is away holds up who
// reads one for as long as it likes, whatever context there is. So each read is in a goroutine of
// its own, one at a time for a source, and nobody waits for it longer than some seconds: a source
// whose file hangs is no reason to leave the others alone.

const (
	readPatience = 2 * time.Second
	// so long what was read after that is taken, as who asked for it has gone
	readFresh = time.Minute
)

// inquiry is a read that is under way, or that ended when nobody waited for it any more. Its
// goroutine ends with the read: nothing can end one that hangs, but the end of the process.
type inquiry struct {
	until time.Time     // nobody waits longer
	done  chan struct{} // closed at its end
	now   string        // set before that
	told  bool          // so
	ended time.Time     // guarded by Pool.mu; zero: it is under way
	said  bool          // that it takes long; guarded by Pool.mu
}

// templated is a source's provider as one that tells what instances would be made from; nil: it
// does not tell, or is not open.
func (p *Pool) templated(s *source) compute.Templated {
	o := p.ready(p.keyOf(s))
	if o == nil || o.err != nil {
		return nil
	}
	t, _ := compute.As[compute.Templated](o.provider)
	return t
}

// read begins to read what instances of a source would be made from now, unless that is under way.
// nil: its provider does not tell, or is not open. Who wants to know of several sources begins with
// all, so as to wait for all at once.
func (p *Pool) read(s *source) *inquiry {
	t := p.templated(s)
	if t == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := s.key
	if r := p.inquiries[key]; r != nil && (r.ended.IsZero() || time.Since(r.ended) < readFresh) {
		return r
	}
	r := &inquiry{until: time.Now().Add(readPatience), done: make(chan struct{})}
	p.inquiries[key] = r
	go func() {
		now, err := t.Template()
		if err == nil { // else who makes one is told
			r.now, r.told = now, true
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if r.ended = time.Now(); !r.told || r.ended.Before(r.until) {
			delete(p.inquiries, key)
		}
		close(r.done)
	}()
	return r
}

// template says what instances of a source would be made from now, as a read of it has found; "":
// its provider does not tell. told is false where that is not known now, as the read failed or
// hangs. It may wait, so it is not called in a transaction, which holds up all others.
func (p *Pool) template(ctx context.Context, s *source, r *inquiry) (now string, told bool) {
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
	p.mu.Lock()
	said := r.said
	r.said = true
	p.mu.Unlock()
	if !said {
		p.log.Warn(
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

// errUnread asks for a source's template to be read outside of the transaction, and for another
// try.
type errUnread struct{ source *source }

func (e *errUnread) Error() string { return "template of " + e.source.Name + " is not read" }

// noteTemplate reads a source's template for a transaction, until forgetTemplate.
func (p *Pool) noteTemplate(ctx context.Context, s *source) {
	now, told := p.template(ctx, s, p.read(s))
	key := p.keyOf(s)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.templates[key] = templateRead{now, told, p.templates[key].many + 1}
}

// forgetTemplate is called with the lock held.
func (p *Pool) forgetTemplate(key int64) {
	if t := p.templates[key]; t.many > 1 {
		t.many--
		p.templates[key] = t
	} else {
		delete(p.templates, key)
	}
}

// ofOldTemplate tells whether an instance, or what is behind it, was made from a template that has
// changed since: no cleaning makes it as one that is made now. Where that of now is not known, it
// goes by what was noted last. The transaction is one of withOpen.
func (p *Pool) ofOldTemplate(tx compute.Tx, i *compute.Instance) (bool, error) {
	for {
		if s := p.sources[i.Source]; s != nil && p.keyOf(s) == i.SourceKey {
			if p.templated(s) != nil {
				p.mu.Lock()
				t, read := p.templates[i.SourceKey]
				p.mu.Unlock()
				if !read {
					return false, &errUnread{s}
				}
				now := t.now
				if !t.told {
					m, err := readMade(tx, i.SourceKey)
					if err != nil {
						return false, err
					}
					now = m.Template
				}
				if now != "" && i.Facts[compute.FactTemplate] != now {
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
