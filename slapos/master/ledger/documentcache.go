package ledger

import (
	"sync"
	"sync/atomic"
)

// A Document is what a node is told, as it was written.
type Document struct {
	Body atomic.Pointer[[]byte] // nil: it was given up, and can be written again
	Tag  string
}

// DocumentCache has the documents that were written last.
type DocumentCache struct {
	mu   sync.Mutex
	All  []*Document // the oldest first
	Size int         // of their bodies
}

// MaxDocumentCache is how many bytes of documents are kept. Nodes ask for few at a time: a node
// that has its document is answered by its tag.
const MaxDocumentCache = 8 << 20

// Put keeps a document, as long as there is room.
func (s *DocumentCache) Put(d *Document, body []byte) {
	d.Body.Store(&body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.All, s.Size = append(s.All, d), s.Size+len(body)
	for s.Size > MaxDocumentCache && len(s.All) > 1 {
		s.Size -= len(*s.All[0].Body.Swap(nil))
		s.All[0] = nil
		s.All = s.All[1:]
	}
}
