package master

import (
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/slapos/slap"
)

// Nodes and programs ask for the same again and again, to see what has become of it. What such a
// request is answered rests on a few records: as long as those are the same, so is the answer, and
// its form need not be read.

const (
	maxRepeat  = 64 << 10 // bytes of a request or an answer that is kept
	maxRepeats = 8 << 20  // bytes of a generation of them
)

// A basis is what the answer to a request that changes nothing rests on: records of the memory,
// which are replaced when they change.
type basis struct {
	name         string // of the instance
	found, asker *slap.InstanceRecord
	computer     *slap.ComputerRecord
	at, part     string // where the asker says that it is
	as           string // the instance that asks by its own certificate
}

// stands says whether all that an answer rests on is still so. It is asked of the memory.
func (r *basis) stands(b book) bool {
	if n, err := b.named(r.name); err != nil || n != r.found {
		return false
	}
	if r.at != "" {
		if n, err := b.at(r.at, r.part); err != nil || n != r.asker {
			return false
		}
	}
	if r.as != "" {
		if n, err := b.instance(r.as); err != nil || n != r.asker {
			return false
		}
	}
	c, err := b.computer(r.found.Computer)
	return err == nil && c == r.computer
}

// rests is what the answer to a request rests on that found an instance at its place, in the
// memory, and changed nothing; nil of another.
func (a *ask) rests(b book) *basis {
	if a.found == nil || a.found.Partition == "" || a.Shared {
		return nil
	}
	r := &basis{name: a.name(), found: a.found, asker: a.asker, at: a.Computer, part: a.Partition, as: a.who.Instance}
	r.computer, _ = b.computer(a.found.Computer)
	if !r.stands(b) {
		return nil
	}
	return r
}

// repeats are answers by who asked, and by what they sent. Of two generations the older one is
// given up when the younger one is full.
type repeats struct {
	mu           sync.Mutex
	young, older map[repeatKey]*repeat
	size         int // of the young
}

type repeatKey struct {
	who  Who
	form string
}

type repeat struct {
	basis *basis
	body  []byte
	thing string // what it is about
}

// get makes no text of the form to look for it: nobody would have it after that.
func (r *repeats) get(who Who, form []byte) *repeat {
	r.mu.Lock()
	defer r.mu.Unlock()
	if found := r.young[repeatKey{who, string(form)}]; found != nil {
		return found
	}
	found := r.older[repeatKey{who, string(form)}]
	if found != nil {
		r.put(repeatKey{who, string(form)}, found)
	}
	return found
}

func (r *repeats) add(key repeatKey, it *repeat) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(key, it)
}

func (r *repeats) put(key repeatKey, it *repeat) {
	size := len(key.form) + len(it.body) + 512
	if r.young == nil || r.size+size > maxRepeats {
		r.older, r.young, r.size = r.young, map[repeatKey]*repeat{}, 0
	}
	if r.young[key] == nil {
		r.size += size
	}
	r.young[key] = it
}

// rooms are where forms are read to be looked for, and read into again: most are known, and what
// each left behind would have to be collected, which costs as much as the memory is large.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// again answers a request for an instance that was answered before, if nothing has changed since
// that matters. Of one that it does not answer, it has read the form and put it back.
func (l *legacy) again(c *call) (done bool, err error) {
	if c.r.Header.Get("Content-Type") != formType || c.r.ContentLength <= 0 || c.r.ContentLength > maxRepeat {
		return false, nil
	}
	room := rooms.Get().(*[]byte)
	defer rooms.Put(room)
	*room = slices.Grow((*room)[:0], int(c.r.ContentLength))
	form := (*room)[:c.r.ContentLength]
	if _, err := io.ReadFull(c.r.Body, form); err != nil {
		return false, invalid("the form cannot be read: %v", err)
	}
	found := l.repeats.get(c.who, form)
	stands := false
	if found != nil {
		if err := l.master.fresh(c.r.Context()); err != nil {
			return false, err
		}
		if err := l.master.read(func(b book) error { stands = found.basis.stands(b); return nil }); err != nil {
			return false, err
		}
	}
	if !stands {
		c.key = repeatKey{c.who, string(form)}
		c.r.Body = io.NopCloser(strings.NewReader(c.key.form))
		return false, nil
	}
	about(c.r.Context(), found.thing)
	return true, c.answer(written(found.body))
}

const formType = "application/x-www-form-urlencoded"

// written is a value that is a document already.
type written []byte

func (l *legacy) request(c *call) (any, error) {
	q, err := slap.ParseRequest(c.form)
	if err != nil {
		return nil, unwell(err)
	}
	a, err := l.master.Request(asked(c.r, l.opt.Base(c.r)), c.who, q)
	if err != nil {
		return nil, err
	}
	body, err := slap.Marshal(a.Value())
	if err != nil {
		return nil, unwell(err)
	}
	if c.key.form != "" && a.basis != nil && len(body) <= maxRepeat {
		l.repeats.add(c.key, &repeat{basis: a.basis, body: body, thing: c.about()})
	}
	return written(body), nil
}
