package apiprocess

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
)

const (
	// smallBody is how many bytes of a request are read before anybody knows who asks.
	smallBody = 16 << 10
	// maxBodies is how many bytes of larger bodies are held at once.
	maxBodies = 128 << 20
	// maxLogins is how many larger bodies of people who sign in are held at once.
	maxLogins = 64
	// shortResponse is the longest answer that is kept whole, in bytes.
	shortResponse = 64 << 10
	// minConns is how many connections of strangers there may be in any case.
	minConns = 128
	// aside is how many connections to the engine are kept for handshakes and its own questions.
	aside = 8
)

// bodyRoomTime is how long a larger body waits until there is room for it. Only tests change it.
var bodyRoomTime = 10 * time.Second

// maxConns is how many connections of clients there are at most, and how many requests are
// served at once.
func (s setup) maxConns() int { return max(2*s.Sockets, minConns) }

// patience is how long a request may be without an answer before it counts as one that waits. Only
// tests change it.
var patience = time.Second

// limits are how much of this process and of its connections to the engine requests may have. Of
// each a network of strangers, or a caller, has but a share.
type limits struct {
	requests  *auth.Shares        // that are served, by network
	described *auth.Shares        // long answers that anybody may read slowly, by network
	logins    *auth.Shares        // larger bodies of people who sign in, by network
	upgraded  *auth.Shares        // terminals and tunnels, by caller
	long      *auth.Shares        // long answers, and requests that wait, by caller
	uploads   *auth.Shares        // bodies that are passed on as they come, by caller
	bodies    *semaphore.Weighted // bytes of other larger bodies
	most      int64               // bytes of them at once
}

// newLimits shares the connections to the engine: an eighth is left for all that is short.
func newLimits(s setup) limits {
	part := func(of int) *auth.Shares { return auth.NewShares(int64(s.Sockets / of)) }
	return limits{
		requests: auth.NewShares(int64(s.maxConns())), described: part(16), logins: auth.NewShares(maxLogins),
		upgraded: part(4), long: part(2), uploads: part(16),
		bodies: semaphore.NewWeighted(s.Bodies), most: s.Bodies,
	}
}

// networkOf is what a stranger's request is counted by.
func networkOf(r *http.Request) string { return auth.Network(auth.RemoteHost(r)) }

// callerOf is what a caller's request is counted by: a digest of what it presents where the engine
// has found its caller, or will before it is answered late or long. Elsewhere it is the network.
func callerOf(r *http.Request) string {
	path := r.URL.Path
	known := strings.HasPrefix(path, "/v1/") && path != loginPath || strings.HasPrefix(path, slaposPath)
	if !known || !auth.HasCredentials(r) {
		return networkOf(r)
	}
	shown := sha256.New()
	for _, name := range []string{"Authorization", "Cookie", "X-Access-Token"} {
		fmt.Fprintf(shown, "%q", r.Header.Values(name))
	}
	if r.TLS != nil {
		for _, c := range r.TLS.PeerCertificates {
			_, _ = shown.Write(c.Raw) // it never fails
		}
	}
	return string(shown.Sum(nil))
}

// busyError says of what there is too much.
type busyError string

func (e busyError) Error() string { return string(e) }

const (
	tooManyRequests = busyError("too many requests are being served")
	tooManyUpgraded = busyError("too many connections are open for terminals and tunnels")
	tooManyLong     = busyError("too many requests wait, or have long answers that are being read")
	tooManyBodies   = busyError("too many large requests are being sent")
)

// problem is what a caller is told who has to come again.
func (e busyError) problem() api.Problem {
	return api.NewProblem(&compute.Error{Kind: compute.ErrUnavailable, Err: e, Hint: "try again soon"})
}

// refuse tells a stranger so. By HTTP/2 a body could wait for its reader without a place of its
// own, so there is none.
func (e busyError) refuse(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "1")
	if r.ProtoMajor != 1 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	writeProblem(w, e.problem())
}

// reserve makes room for what may hold a connection to the engine, or memory, for as long as its
// caller likes. free gives it back; nil: there is none, and the caller has been told so.
func (f *relay) reserve(w http.ResponseWriter, r *http.Request) (free func()) {
	switch {
	case f.kinds.Upgrades(r):
		if !f.isKnown(w, r, meta{}, http.MethodGet, selfPath) {
			return nil
		}
		free, ok := f.upgraded.Take(callerOf(r), 1)
		if !ok {
			writeProblem(w, tooManyUpgraded.problem())
		}
		return free
	case strings.HasPrefix(r.URL.Path, descriptions):
		free, ok := f.described.Take(networkOf(r), 1)
		if !ok {
			tooManyRequests.refuse(w, r)
		}
		return free
	}
	r.Header.Del("Upgrade") // it means nothing here, and a body counts as any other
	n := r.ContentLength
	if most := f.kinds.MostBody(r); n < 0 || n > most {
		n = most
	}
	switch {
	case n <= smallBody:
		return func() {}
	case r.URL.Path == loginPath:
		if free, ok := f.logins.Take(networkOf(r), 1); ok {
			return free
		}
	case !f.isKnown(w, r, meta{}, http.MethodGet, selfPath):
		return nil
	default:
		ctx, cancel := context.WithTimeout(r.Context(), bodyRoomTime)
		defer cancel()
		n = min(n, f.most)
		if f.bodies.Acquire(ctx, n) == nil {
			return func() { f.bodies.Release(n) }
		}
	}
	writeProblem(w, tooManyBodies.problem())
	return nil
}

// toSlapos passes a request to the SlapOS master as it is. A small body is read first, and before a
// larger one the engine says whether it knows the caller.
func (f *relay) toSlapos(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Body == nil || r.Body == http.NoBody:
	case r.ContentLength >= 0 && r.ContentLength <= smallBody:
		b, err := io.ReadAll(r.Body)
		if err != nil {
			w.Header().Set("Connection", "close")
			http.Error(w, "The body of the request did not come.", http.StatusRequestTimeout)
			return
		}
		with := *r
		with.Body = io.NopCloser(bytes.NewReader(b))
		r = &with
	case !f.isKnown(w, r, meta{Ask: askKnown}, r.Method, r.URL.Path):
		return
	default:
		free, ok := f.uploads.Take(callerOf(r), 1)
		if !ok {
			http.Error(w, string(tooManyBodies), http.StatusServiceUnavailable)
			return
		}
		defer free()
	}
	f.pass(w, r, meta{})
}

// bufferShort reads a short answer of the engine before it is written to its caller, so that a
// caller who reads slowly holds no connection to the engine. For a long one there has to be
// room.
func (f *relay) bufferShort(r *http.Response) error {
	h, ok := r.Request.Context().Value(holdKey{}).(*hold)
	if !ok {
		return errors.New("a request without a hold")
	}
	h.late.Stop()
	switch {
	case r.StatusCode == http.StatusSwitchingProtocols || r.ContentLength == 0:
		return nil
	case r.ContentLength <= shortResponse && !strings.HasPrefix(r.Header.Get("Content-Type"), eventStream):
		var b bytes.Buffer
		n, err := io.CopyN(&b, r.Body, shortResponse)
		if errors.Is(err, io.EOF) {
			err = r.Body.Close()
			r.Body = io.NopCloser(&b)
			return err
		}
		if err != nil || n < shortResponse {
			return errors.Join(err, r.Body.Close())
		}
		r.Body = &joined{io.MultiReader(&b, r.Body), r.Body}
	}
	if !h.take() {
		return errors.Join(tooManyLong, r.Body.Close())
	}
	return nil
}

// hold is the place among the long answers that a request has: from when it has no answer for a
// while, or a long one, until its answer has gone out.
type hold struct {
	of   *auth.Shares
	who  string
	late *time.Timer // runs until there is an answer

	mu   sync.Mutex
	over bool
	free func() // nil: it has none yet
}

type holdKey struct{}

// take reports whether the request has its place now.
func (h *hold) take() (ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over || h.free != nil {
		return true
	}
	h.free, ok = h.of.Take(h.who, 1)
	return ok
}

func (h *hold) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over = true; h.free != nil {
		h.free()
	}
}

// eventStream is the type of answers that come piece by piece.
const eventStream = "text/event-stream"

type joined struct {
	io.Reader
	io.Closer
}
