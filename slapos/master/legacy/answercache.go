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
	maxCachedAnswer = 64 << 10 // bytes of a request or an answer that is kept
	maxAnswerCache  = 8 << 20  // bytes of a generation of them
)

// answers are answers by the caller and the form it sent. There are two generations: when the
// younger is full, the older is dropped.
type answerCache struct {
	mu           sync.Mutex
	young, older map[answerKey]*cachedAnswer
	size         int // of the young
}

type answerKey struct {
	who  access.Who
	form string
}

type cachedAnswer struct {
	key   *master.CacheKey
	body  []byte
	thing string // the subject of the request
}

// get looks a form up without making a string of it, which would be garbage at once.
func (r *answerCache) get(who access.Who, form []byte) *cachedAnswer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if found := r.young[answerKey{who, string(form)}]; found != nil {
		return found
	}
	found := r.older[answerKey{who, string(form)}]
	if found != nil {
		r.put(answerKey{who, string(form)}, found)
	}
	return found
}

func (r *answerCache) add(key answerKey, it *cachedAnswer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(key, it)
}

// put keeps an answer among the young ones. When these are full they become the older ones, and
// those are forgotten.
func (r *answerCache) put(key answerKey, it *cachedAnswer) {
	size := len(key.form) + len(it.body) + 512
	if r.young == nil || r.size+size > maxAnswerCache {
		r.older, r.young, r.size = r.young, map[answerKey]*cachedAnswer{}, 0
	}
	if r.young[key] == nil {
		r.size += size
	}
	r.young[key] = it
}

// bufferPool are buffers for forms, for reuse: most forms are known already. Without reuse the
// garbage would be collected, which costs as much as the memory is large.
var bufferPool = sync.Pool{New: func() any { return new([]byte) }}

// fromCache answers a request for an instance that was answered before, if nothing has changed
// since that matters. Of one that it does not answer, it has read the form and put it back.
func (l *endpoints) fromCache(c *call) (done bool, err error) {
	if c.r.Header.Get("Content-Type") != formType || c.r.ContentLength <= 0 || c.r.ContentLength > maxCachedAnswer {
		return false, nil
	}
	room := bufferPool.Get().(*[]byte)
	defer bufferPool.Put(room)
	*room = slices.Grow((*room)[:0], int(c.r.ContentLength))
	form := (*room)[:c.r.ContentLength]
	if _, err := io.ReadFull(c.r.Body, form); err != nil {
		return false, access.Invalid("the form cannot be read: %v", err)
	}
	found := l.answers.get(c.who, form)
	stands := false
	if found != nil {
		var err error
		if stands, err = l.master.Requests.StillValid(c.r.Context(), found.key); err != nil {
			return false, err
		}
	}
	if !stands {
		c.key = answerKey{c.who, string(form)}
		c.r.Body = io.NopCloser(strings.NewReader(c.key.form))
		return false, nil
	}
	access.NoteAbout(c.r.Context(), found.thing)
	return true, c.answer(written(found.body))
}

const formType = "application/x-www-form-urlencoded"

// written is a value that is a document already.
type written []byte
