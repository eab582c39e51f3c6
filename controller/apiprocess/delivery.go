package apiprocess

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/controller/server/stream"
)

// deliveryHeader stands in an answer of which the engine wants to know what has gone out to the
// caller.
const deliveryHeader = "Hostler-Receipt"

// delivery says how many bytes of an answer's body have gone out.
type delivery struct {
	ID     string
	Sent   int64
	Failed bool `json:",omitempty"` // and that no more will
}

// reportingWriter writes an answer of the engine's to its caller, each piece at once: so it
// notices at once a caller that has hung up.
type reportingWriter struct {
	http.ResponseWriter
	relay    *relay
	delivery delivery // ID "": the engine does not ask
}

func (s *reportingWriter) WriteHeader(status int) {
	if id := s.Header().Get(deliveryHeader); id != "" {
		s.delivery.ID = id
		s.Header().Del(deliveryHeader)
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *reportingWriter) Write(b []byte) (int, error) {
	n, err := s.ResponseWriter.Write(b)
	if err == nil {
		err = http.NewResponseController(s.ResponseWriter).Flush()
	}
	if err == nil && s.delivery.ID != "" {
		s.delivery.Sent += int64(n)
		s.report()
	}
	return n, err
}

// end tells the engine that no more goes out.
func (s *reportingWriter) end() {
	if s.delivery.ID != "" {
		s.delivery.Failed = true
		s.report()
	}
}

func (s *reportingWriter) report() {
	text, _ := json.Marshal(s.delivery)                    // it has but texts and numbers
	_, _ = askEngine(s.relay.transport, askReceived, text) // else the engine waits for its time
}

// Unwrap gives the connection's own, for its deadlines.
func (s *reportingWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// deliveries are the answers in the engine of which it wants to know what has gone out.
type deliveries struct {
	mu   sync.Mutex
	last int
	all  map[string]*confirmedWriter
}

// writer returns the writer of a request's answer, and what is to be called at its end.
func (rs *deliveries) writer(w http.ResponseWriter, r *http.Request, said meta) (_ http.ResponseWriter, end func()) {
	if said.Major != 1 || !strings.Contains(r.Header.Get("Accept"), eventStream) {
		return w, func() {}
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.last++
	id, a := strconv.Itoa(rs.last), &confirmedWriter{ResponseWriter: w, news: make(chan struct{}, 1)}
	if rs.all == nil {
		rs.all = map[string]*confirmedWriter{}
	}
	rs.all[id] = a
	w.Header().Set(deliveryHeader, id)
	return a, func() {
		rs.mu.Lock()
		defer rs.mu.Unlock()
		delete(rs.all, id)
	}
}

// report notes what the API process says.
func (rs *deliveries) report(said delivery) {
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

// confirmedWriter is the writer of an answer of which the API process says how much has gone out.
type confirmedWriter struct {
	http.ResponseWriter
	written int64
	news    chan struct{} // the API process has said something

	mu     sync.Mutex
	sent   int64
	failed bool
}

func (a *confirmedWriter) Write(b []byte) (int, error) {
	n, err := a.ResponseWriter.Write(b)
	a.written += int64(n)
	return n, err
}

// Confirmed waits until all that was written has gone out, and reports whether it has.
func (a *confirmedWriter) Confirmed() bool {
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
func (a *confirmedWriter) Unwrap() http.ResponseWriter { return a.ResponseWriter }
