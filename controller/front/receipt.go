package front

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/controller/server/stream"
)

// receiptHeader stands in an answer of which the engine wants to know what has gone out to the
// caller.
const receiptHeader = "Hostler-Receipt"

// receipt says how many bytes of an answer's body have gone out.
type receipt struct {
	ID     string
	Sent   int64
	Failed bool `json:",omitempty"` // and that no more will
}

// sender writes an answer of the engine's to its caller, each piece at once: so it notices at once
// a caller that has hung up.
type sender struct {
	http.ResponseWriter
	relay *relay
	said  receipt // ID "": the engine does not ask
}

func (s *sender) WriteHeader(status int) {
	if id := s.Header().Get(receiptHeader); id != "" {
		s.said.ID = id
		s.Header().Del(receiptHeader)
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *sender) Write(b []byte) (int, error) {
	n, err := s.ResponseWriter.Write(b)
	if err == nil {
		err = http.NewResponseController(s.ResponseWriter).Flush()
	}
	if err == nil && s.said.ID != "" {
		s.said.Sent += int64(n)
		s.tell()
	}
	return n, err
}

// end tells the engine that no more goes out.
func (s *sender) end() {
	if s.said.ID != "" {
		s.said.Failed = true
		s.tell()
	}
}

func (s *sender) tell() {
	text, _ := json.Marshal(s.said)            // it has but texts and numbers
	_, _ = s.relay.question(askReceived, text) // else the engine waits for its time
}

// Unwrap gives the connection's own, for its deadlines.
func (s *sender) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// receipts are the answers in the engine of which it wants to know what has gone out.
type receipts struct {
	mu   sync.Mutex
	last int
	all  map[string]*awaited
}

// of returns the writer of a request's answer, and what is to be called at its end.
func (rs *receipts) of(w http.ResponseWriter, r *http.Request, said meta) (_ http.ResponseWriter, end func()) {
	if said.Major != 1 || !strings.Contains(r.Header.Get("Accept"), eventStream) {
		return w, func() {}
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.last++
	id, a := strconv.Itoa(rs.last), &awaited{ResponseWriter: w, news: make(chan struct{}, 1)}
	if rs.all == nil {
		rs.all = map[string]*awaited{}
	}
	rs.all[id] = a
	w.Header().Set(receiptHeader, id)
	return a, func() {
		rs.mu.Lock()
		defer rs.mu.Unlock()
		delete(rs.all, id)
	}
}

// take notes what the API process says.
func (rs *receipts) take(said receipt) {
	rs.mu.Lock()
	a := rs.all[said.ID]
	rs.mu.Unlock()
	if a == nil {
		return
	}
	a.mu.Lock()
	a.sent, a.failed = said.Sent, said.Failed
	a.mu.Unlock()
	select {
	case a.news <- struct{}{}:
	default:
	}
}

// awaited is the writer of an answer of which the API process says how much has gone out.
type awaited struct {
	http.ResponseWriter
	written int64
	news    chan struct{} // the API process has said something

	mu     sync.Mutex
	sent   int64
	failed bool
}

func (a *awaited) Write(b []byte) (int, error) {
	n, err := a.ResponseWriter.Write(b)
	a.written += int64(n)
	return n, err
}

// Confirmed waits until all that was written has gone out, and reports whether it has.
func (a *awaited) Confirmed() bool {
	late := time.NewTimer(stream.WriteTime)
	defer late.Stop()
	for {
		a.mu.Lock()
		sent, failed := a.sent, a.failed
		a.mu.Unlock()
		if failed || sent >= a.written {
			return sent >= a.written
		}
		select {
		case <-a.news:
		case <-late.C:
			return false
		}
	}
}

// Unwrap gives the connection's own, for its deadlines.
func (a *awaited) Unwrap() http.ResponseWriter { return a.ResponseWriter }
