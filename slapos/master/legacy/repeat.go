package legacy

import (
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/slapos/master"
	"github.com/hostler-project/hostler/slapos/master/access"
)

// Nodes and programs ask for the same again and again, to poll. The answer to such a request
// depends on a few records: as long as those are the same, so is the answer, and the form need not
// be parsed.

const (
	maxRepeat  = 64 << 10 // bytes of a request or an answer that is kept
	maxRepeats = 8 << 20  // bytes of a generation of them
)

// repeats are answers by the caller and the form it sent. There are two generations: when the
// younger is full, the older is dropped.
type repeats struct {
	mu           sync.Mutex
	young, older map[repeatKey]*repeat
	size         int // of the young
}

type repeatKey struct {
	who  access.Who
	form string
}

type repeat struct {
	basis *master.Basis
	body  []byte
	thing string // the subject of the request
}

// get looks a form up without making a string of it, which would be garbage at once.
func (r *repeats) get(who access.Who, form []byte) *repeat {
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

// rooms are buffers for forms, for reuse: most forms are known already. Without reuse the garbage
// would be collected, which costs as much as the memory is large.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// again answers a request for an instance that was answered before, if nothing has changed since
// that matters. Of one that it does not answer, it has read the form and put it back.
func (l *endpoints) again(c *call) (done bool, err error) {
	if c.r.Header.Get("Content-Type") != formType || c.r.ContentLength <= 0 || c.r.ContentLength > maxRepeat {
		return false, nil
	}
	room := rooms.Get().(*[]byte)
	defer rooms.Put(room)
	*room = slices.Grow((*room)[:0], int(c.r.ContentLength))
	form := (*room)[:c.r.ContentLength]
	if _, err := io.ReadFull(c.r.Body, form); err != nil {
		return false, access.Invalid("the form cannot be read: %v", err)
	}
	found := l.repeats.get(c.who, form)
	stands := false
	if found != nil {
		var err error
		if stands, err = l.master.Requests.Stands(c.r.Context(), found.basis); err != nil {
			return false, err
		}
	}
	if !stands {
		c.key = repeatKey{c.who, string(form)}
		c.r.Body = io.NopCloser(strings.NewReader(c.key.form))
		return false, nil
	}
	access.NoteAbout(c.r.Context(), found.thing)
	return true, c.answer(written(found.body))
}

const formType = "application/x-www-form-urlencoded"

// written is a value that is a document already.
type written []byte
