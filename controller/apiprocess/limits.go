package apiprocess

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/hostler-project/hostler/api"
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
)

// bodyRoomTime is how long a larger body waits until there is room for it. Only tests change it.
var bodyRoomTime = 10 * time.Second

// maxConns is how many connections of clients there are at most, and how many requests are
// served at once.
func (s setup) maxConns() int { return max(2*s.Sockets, minConns) }

// slots are what so many may have at once.
type slots chan struct{}

func newSlots(n int) slots { return make(slots, max(n, 1)) }

// report takes one, if one is free.
func (s slots) take() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s slots) free() { <-s }

// limits are how much of this process and of its connections to the engine requests may have.
type limits struct {
	requests  slots               // that are served
	upgraded  slots               // terminals and tunnels
	described slots               // descriptions of the API, which anybody may read slowly
	long      slots               // answers that are not kept whole
	uploads   slots               // bodies that are passed on as they come
	logins    slots               // larger bodies of people who sign in
	bodies    *semaphore.Weighted // bytes of other larger bodies
	most      int64               // bytes of them at once
}

// newLimits shares the connections to the engine: an eighth is left for all that is short.
func newLimits(s setup) limits {
	return limits{
		requests: newSlots(s.maxConns()), upgraded: newSlots(s.Sockets / 4), described: newSlots(s.Sockets / 16),
		long: newSlots(s.Sockets / 2), uploads: newSlots(s.Sockets / 16), logins: newSlots(maxLogins),
		bodies: semaphore.NewWeighted(s.Bodies), most: s.Bodies,
	}
}

// busyError says of what there is too much.
type busyError string

func (e busyError) Error() string { return string(e) }

const (
	tooManyRequests = busyError("too many requests are being served")
	tooManyUpgraded = busyError("too many connections are open for terminals and tunnels")
	tooManyLong     = busyError("too many long answers are being read")
	tooManyBodies   = busyError("too many large requests are being sent")
)

// problem is what a caller is told who has to come again.
func (e busyError) problem() api.Problem {
	return api.NewProblem(&compute.Error{Kind: compute.ErrUnavailable, Err: e, Hint: "try again soon"})
}

// reserve makes room for what may hold a connection to the engine, or memory, for as long as its
// caller likes. free gives it back; nil: there is none, and the caller has been told so.
func (f *relay) reserve(w http.ResponseWriter, r *http.Request) (free func()) {
	switch {
	case f.kinds.Upgrades(r):
		if !f.isKnown(w, r, meta{}, http.MethodGet, selfPath) {
			return nil
		}
		if !f.upgraded.take() {
			writeProblem(w, tooManyUpgraded.problem())
			return nil
		}
		return f.upgraded.free
	case strings.HasPrefix(r.URL.Path, descriptions):
		select {
		case f.described <- struct{}{}:
			return f.described.free
		case <-r.Context().Done():
			return nil
		}
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
		if f.logins.take() {
			return f.logins.free
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
	case !f.uploads.take():
		http.Error(w, string(tooManyBodies), http.StatusServiceUnavailable)
		return
	default:
		defer f.uploads.free()
	}
	f.pass(w, r, meta{})
}

// bufferShort reads a short answer of the engine before it is written to its caller, so that a
// caller who reads slowly holds no connection to the engine. For a long one there has to be
// room.
func (f *relay) bufferShort(r *http.Response) error {
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
	if !f.long.take() {
		return errors.Join(tooManyLong, r.Body.Close())
	}
	r.Body = &freeing{r.Body, sync.OnceFunc(f.long.free)}
	return nil
}

// eventStream is the type of answers that come piece by piece.
const eventStream = "text/event-stream"

type joined struct {
	io.Reader
	io.Closer
}

// freeing gives a slot back when it is closed.
type freeing struct {
	io.ReadCloser
	free func()
}

func (b *freeing) Close() error {
	defer b.free()
	return b.ReadCloser.Close()
}

// bounded is a connection that has a slot of its listener.
type bounded struct {
	net.Conn
	free func()
}

func (c *bounded) Close() error {
	defer c.free()
	return c.Conn.Close()
}
