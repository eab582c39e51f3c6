package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/text/exactjson"
)

// Memory keeps the answers to requests with a key.
type Memory interface {
	// Answer returns an answer; compute.ErrNotFound: there is none, or it was too long ago.
	Answer(ctx context.Context, owner, key string) (compute.Answer, error)
	// Remember stores an answer soon and does not wait. Answer returns it from now on.
	Remember(a compute.Answer)
}

// Keeper is a Memory that can store an answer before it is sent. Requests for leases do not need
// that, as leases record the key of their request.
type Keeper interface {
	Memory
	// Keep returns when the answer is stored.
	Keep(ctx context.Context, a compute.Answer) error
}

// keyLock is a Memory that other processes use too. It serves requests of the same key one after
// another.
type keyLock interface {
	Memory
	// Turn waits until no other process serves the request of a mark. It keeps others from serving
	// it until end is called or this process ends.
	Turn(ctx context.Context, mark string) (end func(), err error)
}

// Common is a Memory that several controllers share. A controller gives nothing to a request that
// another has served: the engine then fails with compute.ErrGiven.
type Common interface {
	Memory
	// Given returns the living leases that the request of a mark was given, and which controller
	// gave them.
	Given(ctx context.Context, mark string) (leases []compute.Lease, by Giver, err error)
}

// Giver says which controller gave the leases of a request.
type Giver int

// A controller that lives may still answer, or take the leases back.
const (
	GivenByDead Giver = iota
	GivenElsewhere
	GivenHere // by this controller
)

const (
	maxKey    = 255     // bytes of a key
	maxAnswer = 8 << 20 // bytes of an answer that is kept
	keepTime  = 5 * time.Second
	// for the body of a request with a key, as huma has for others
	bodyTime = 5 * time.Second
)

// creates reports whether a repeated request of a path would make something a second time.
func creates(path string) bool {
	rest, ok := strings.CutPrefix(path, "/v1/")
	switch {
	case !ok:
		return false
	case rest == "leases", rest == "fill", rest == tokensPath:
		return true
	}
	return strings.HasPrefix(rest, "leases/") && strings.HasSuffix(rest, "/extend") ||
		strings.HasPrefix(rest, "sources/") && strings.HasSuffix(rest, "/test")
}

// keyWithin returns a key as it is stored. Keys are separate by user, and by the scope of a token:
// a token for one project must not see or end what was taken for another. A header's value has no
// line breaks, so keys of different scopes never collide.
func keyWithin(p auth.Principal, key string) string {
	if scope := p.Scope(); scope != "" {
		return key + "\n" + scope
	}
	return key
}

// flight is a request with a key that is being served.
type flight struct {
	digest  string
	done    chan struct{}
	end     func() // cancels it; nil: it cannot be cancelled
	givenUp bool   // give back what it is given; read it after done is closed
}

// flights are the requests with a key in progress in this process.
type flights struct {
	mu  sync.Mutex
	now map[[2]string]*flight
}

// take begins a flight, or returns the one in progress for the same key. end reports whether it was
// given up meanwhile.
func (f *flights) take(owner, key, digest string, stop func()) (other *flight, end func() (givenUp bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := [2]string{owner, key}
	if other := f.now[id]; other != nil {
		return other, nil
	}
	mine := &flight{digest: digest, done: make(chan struct{}), end: stop}
	if f.now == nil {
		f.now = map[[2]string]*flight{}
	}
	f.now[id] = mine
	return nil, func() bool {
		f.mu.Lock()
		delete(f.now, id)
		f.mu.Unlock()
		close(mine.done)
		return mine.givenUp
	}
}

// giveUp gives up the flight of a key and returns nil. If there is none, it begins one with no
// digest and returns its end.
func (f *flights) giveUp(owner, key string) (end func() bool) {
	for {
		other, end := f.take(owner, key, "", nil)
		if other == nil {
			return end
		}
		f.mu.Lock()
		on := f.now[[2]string{owner, key}] == other
		other.givenUp = other.givenUp || on
		f.mu.Unlock()
		if on {
			if other.end != nil {
				other.end()
			}
			return nil
		}
	}
}

type (
	markKey     struct{}
	keyKey      struct{}
	recorderKey struct{}
)

// once answers a repeated request with the same key as the first time. A request that failed has
// changed nothing, so it is tried again.
func (s *server) once(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := r.Header.Values(api.KeyHeader)
		if len(given) == 0 || s.Memory == nil || r.Method != http.MethodPost || !creates(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		key := given[0]
		refuse := func(kind error, text string) { s.refuse(w, r, &compute.Error{Kind: kind, Err: errors.New(text)}) }
		if key == "" || len(given) > 1 { // the client wants it done once
			refuse(
				compute.ErrInvalid,
				api.KeyHeader+": it is empty, or there are several: give one of your choice, or leave the header out",
			)
			return
		}
		if len(key) > maxKey {
			refuse(compute.ErrInvalid, api.KeyHeader+": at most 255 bytes")
			return
		}
		limit := http.NewResponseController(w)
		_ = limit.SetReadDeadline(time.Now().Add(bodyTime)) // fails only in tests
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			refuse(compute.ErrTimeout, "the request's body did not come within "+bodyTime.String())
			return
		}
		_ = limit.SetReadDeadline(time.Time{})
		if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
			s.refuseLarge(w, r)
			return
		}
		if err != nil {
			refuse(compute.ErrInvalid, "the request's body: "+err.Error())
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		owner := asker(r.Context()).Name
		key = keyWithin(asker(r.Context()), key)
		digest := digestOf(r.URL.Path, r.URL.RawQuery, string(body), r.Header.Get(api.ProjectHeader))
		served, stop := context.WithCancel(r.Context())
		defer stop()
		for {
			other, end := s.flights.take(owner, key, digest, stop)
			if other == nil {
				defer func() {
					if end() && r.URL.Path == "/v1/leases" {
						if err := s.giveBackAll(context.WithoutCancel(r.Context()), owner, key); err != nil {
							s.log(r.Context()).Warn("what a request was given that was given up is not given back", "err", err)
						}
					}
				}()
				break
			}
			if other.digest != digest {
				refuse(compute.ErrConflict, "another request with this "+api.KeyHeader+" is being served")
				return
			}
			select {
			case <-other.done: // it may have failed
			case <-r.Context().Done():
				return
			}
		}
		mark := digestOf(owner, key)
		if turns, ok := s.Memory.(keyLock); ok && r.URL.Path == "/v1/leases" {
			end, err := turns.Turn(served, mark)
			if err != nil {
				s.refuse(w, r, err)
				return
			}
			defer end()
		}
		a, err := s.answered(r.Context(), owner, key, mark, digest, body)
		switch {
		case err != nil && !errors.Is(err, compute.ErrNotFound):
			s.refuse(w, r, err)
			return
		case err == nil && a.Digest != digest:
			refuse(compute.ErrConflict, "another request had this "+api.KeyHeader)
			return
		case err == nil:
			w.Header().Set("Content-Type", a.Type)
			w.Header().Set("Idempotency-Replayed", "true")
			w.WriteHeader(a.Status)
			_, _ = w.Write(a.Body) // nobody is left to tell
			return
		}
		if keeper, ok := s.Memory.(Keeper); ok && r.URL.Path != "/v1/leases" {
			s.keepFirst(w, r, next, keeper, compute.Answer{Owner: owner, Key: key, Digest: digest})
			return
		}
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		ctx := context.WithValue(context.WithValue(served, keyKey{}, key), markKey{}, mark+" "+digest+" "+url.QueryEscape(key))
		next.ServeHTTP(rec, r.WithContext(context.WithValue(ctx, recorderKey{}, rec)))
		if a, ok := rec.answer(); ok {
			if r.URL.Path == "/v1/"+tokensPath {
				a = withoutToken(a)
			}
			a.Owner, a.Key, a.Digest, a.Time = owner, key, digest, time.Now()
			s.Memory.Remember(a)
		}
	})
}

// keepFirst stores an answer before it sends it, so that a client never gets a second answer after
// the controller was killed.
func (s *server) keepFirst(w http.ResponseWriter, r *http.Request, next http.Handler, keeper Keeper, a compute.Answer) {
	out := &held{header: w.Header(), status: http.StatusOK}
	next.ServeHTTP(out, r)
	if out.status/100 == 2 && out.body.Len() <= maxAnswer {
		a.Status, a.Type, a.Body, a.Time = out.status, w.Header().Get("Content-Type"), out.body.Bytes(), time.Now()
		if r.URL.Path == "/v1/"+tokensPath {
			a = withoutToken(a)
		}
		keep, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), keepTime)
		defer cancel()
		if err := keeper.Keep(keep, a); err != nil { // it was served all the same
			s.log(r.Context()).Warn("an answer to a request with a key is not kept yet", "err", err)
			s.Memory.Remember(a)
		}
	}
	w.WriteHeader(out.status)
	_, _ = w.Write(out.body.Bytes()) // nobody is left to tell
}

// tokensPath is the path that makes tokens.
const tokensPath = "tokens"

// withoutToken returns what is stored of an answer that has a token in it. A token is told once and
// not stored, so a repeated request is refused and told which token to revoke.
func withoutToken(a compute.Answer) compute.Answer {
	var doc api.NewToken
	_ = json.Unmarshal(a.Body, &doc) // this server made it
	p := api.NewProblem(&compute.Error{ID: compute.ID(doc.Token.ID), Kind: compute.ErrConflict,
		Err:  errors.New("this token was made for the same request, and its text is told once"),
		Hint: "if its answer was lost revoke the token, and ask with another " + api.KeyHeader})
	a.Status, a.Type = p.Status, api.ProblemType
	a.Body, _ = json.Marshal(p) // only texts and numbers
	return a
}

// held is an answer that is not sent yet.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *held) Header() http.Header         { return h.header }
func (h *held) WriteHeader(status int)      { h.status = status }
func (h *held) Write(b []byte) (int, error) { return h.body.Write(b) }

// SetReadDeadline does nothing, as for a recorder.
func (h *held) SetReadDeadline(time.Time) error { return nil }

// digestOf returns a digest of words. Different lists of words have different digests.
func digestOf(words ...string) string {
	h := sha256.New()
	for _, w := range words {
		n := sha256.Sum256([]byte(w))
		h.Write(n[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// answered returns the stored answer to a request. If a controller died after it gave leases and
// before it stored the answer, the answer is made from the leases.
func (s *server) answered(ctx context.Context, owner, key, mark, digest string, body []byte) (compute.Answer, error) {
	a, err := s.Memory.Answer(ctx, owner, key)
	if err == nil || !errors.Is(err, compute.ErrNotFound) {
		return a, err
	}
	if _, ok := s.Memory.(Common); ok {
		return a, &compute.Error{Kind: compute.ErrNotFound} // the engine finds the leases
	}
	before, err := s.given.find(ctx, s.Engine(), mark)
	if err != nil || len(before) == 0 {
		return a, errors.Join(err, &compute.Error{Kind: compute.ErrNotFound})
	}
	a = compute.Answer{Owner: owner, Key: key, Time: time.Now(), Status: http.StatusCreated, Type: "application/json"}
	if _, a.Digest, _ = KeyOf(before[0]); a.Digest == digest {
		var in api.AcquireRequest
		if err := exactjson.Unmarshal(body, &in); err != nil {
			return a, &compute.Error{Kind: compute.ErrInvalid, Err: err}
		}
		if a.Body, err = json.Marshal(newAcquired(before, in.Count != nil)); err != nil {
			return a, err
		}
		s.Memory.Remember(a)
	}
	return a, nil
}

// KeyOf returns the request that a lease was given to: its mark, digest and key; "": a request
// without a key. Leases of older versions have no key in their label.
func KeyOf(l compute.Lease) (mark, digest, key string) {
	words := strings.Split(l.Labels[api.KeyLabel], " ")
	words = append(words, "", "")
	key, _ = url.QueryUnescape(words[2])
	return words[0], words[1], key
}

// given holds the leases of requests with a key from before this process served its first one.
type given struct {
	mu      sync.Mutex
	looked  bool
	byMark  map[string][]compute.Lease
	looking chan struct{} // closed when the running look ends; nil: none runs
}

// lookPatience is how long a request waits for another's look before it looks itself, so that a
// look that hangs blocks nobody else.
const lookPatience = 5 * time.Second

// find returns the leases of one request, sorted by instance. Requests that come during a look
// share it.
func (g *given) find(ctx context.Context, e Engine, mark string) ([]compute.Lease, error) {
	for {
		if found, looked := g.known(mark); looked {
			return found, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		g.mu.Lock()
		other := g.looking
		mine := make(chan struct{})
		if other == nil {
			g.looking = mine
		}
		g.mu.Unlock()
		if other == nil {
			return g.look(ctx, e, mark, mine)
		}
		patience := time.NewTimer(lookPatience)
		select {
		case <-other: // it may have failed
		case <-ctx.Done():
		case <-patience.C:
			g.mu.Lock()
			if g.looking == other {
				g.looking = nil
			}
			g.mu.Unlock()
		}
		patience.Stop()
	}
}

// look lists all leases, and closes done for the requests that wait.
func (g *given) look(ctx context.Context, e Engine, mark string, done chan struct{}) ([]compute.Lease, error) {
	all, err := e.Leases(ctx, compute.LeaseQuery{})
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.looking == done {
		g.looking = nil
	}
	close(done)
	if err != nil {
		return nil, err
	}
	if !g.looked { // another look may have been faster
		g.looked, g.byMark = true, marked(all)
	}
	return g.byMark[mark], nil
}

func (g *given) known(mark string) (found []compute.Lease, looked bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.byMark[mark], g.looked
}

// marked groups leases by the request that they were given to. Leases with a worker are left out:
// their client has not been told of them, and they end with the worker.
func marked(all []compute.Lease) map[string][]compute.Lease {
	out := map[string][]compute.Lease{}
	for _, l := range all {
		if mark, _, ok := strings.Cut(l.Labels[api.KeyLabel], " "); ok && l.Worker == 0 {
			out[mark] = append(out[mark], l)
		}
	}
	for _, ls := range out {
		slices.SortFunc(ls, func(a, b compute.Lease) int { return strings.Compare(string(a.Instance), string(b.Instance)) })
	}
	return out
}

// recorder passes an answer on and keeps a copy.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
	failed bool     // part of it was not sent, or it is too long
	hidden []string // secrets in the answer, not to be stored
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	n, err := r.ResponseWriter.Write(b)
	r.failed = r.failed || err != nil || r.body.Len()+n > maxAnswer
	if !r.failed {
		r.body.Write(b[:n])
	}
	return n, err
}

// SetReadDeadline does nothing. The body has been read, and a deadline would end the request when
// it passes.
func (r *recorder) SetReadDeadline(time.Time) error { return nil }

// Unwrap lets http.ResponseController find the abilities of the writer.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// answer returns the answer if it succeeded and was sent whole. For a stream it is the last event.
func (r *recorder) answer() (compute.Answer, bool) {
	a := compute.Answer{Status: r.status, Type: r.Header().Get("Content-Type"), Body: r.body.Bytes()}
	for _, secret := range r.hidden {
		a.Body = bytes.ReplaceAll(a.Body, []byte(secret), nil)
	}
	if a.Type == api.EventStream {
		text := bytes.TrimSuffix(a.Body, []byte("\n\n"))
		last := text[bytes.LastIndex(text, []byte("\n\n"))+1:]
		data, ok := bytes.CutPrefix(bytes.TrimSpace(last), []byte("event: "+api.EventAcquired+"\ndata: "))
		return compute.Answer{Status: http.StatusCreated, Type: "application/json", Body: data}, ok && !r.failed
	}
	return a, a.Status/100 == 2 && !r.failed
}
