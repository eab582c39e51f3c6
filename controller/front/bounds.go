package front

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
	// mostBodies is how many bytes of larger bodies are held at once.
	mostBodies = 128 << 20
	// mostProofs is how many larger bodies of people who sign in are held at once.
	mostProofs = 64
	// shortAnswer is the longest answer that is kept whole, in bytes.
	shortAnswer = 64 << 10
	// fewStrangers is how many connections of strangers there may be in any case.
	fewStrangers = 128
)

// roomTime is how long a larger body waits until there is room for it. Only tests change it.
var roomTime = 10 * time.Second

// mostStrangers is how many connections of strangers there are at most, and how many requests are
// served at once.
func (s setup) mostStrangers() int { return max(2*s.Sockets, fewStrangers) }

// slots are what so many may have at once.
type slots chan struct{}

func newSlots(n int) slots { return make(slots, max(n, 1)) }

// take takes one, if one is free.
func (s slots) take() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s slots) free() { <-s }

// bounds are how much of this process and of its connections to the engine requests may have.
type bounds struct {
	requests  slots               // that are served
	upgraded  slots               // terminals and tunnels
	described slots               // descriptions of the API, which anybody may read slowly
	long      slots               // answers that are not kept whole
	uploads   slots               // bodies that are passed on as they come
	proofs    slots               // larger bodies of people who sign in
	bodies    *semaphore.Weighted // bytes of other larger bodies
	most      int64               // bytes of them at once
}

// newBounds shares the connections to the engine: an eighth is left for all that is short.
func newBounds(s setup) bounds {
	return bounds{
		requests: newSlots(s.mostStrangers()), upgraded: newSlots(s.Sockets / 4), described: newSlots(s.Sockets / 16),
		long: newSlots(s.Sockets / 2), uploads: newSlots(s.Sockets / 16), proofs: newSlots(mostProofs),
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

// room makes room for what may hold a connection to the engine, or memory, for as long as its
// caller likes. free gives it back; nil: there is none, and the caller has been told so.
func (f *relay) room(w http.ResponseWriter, r *http.Request) (free func()) {
	switch {
	case r.Header.Get("Upgrade") != "":
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
	n := r.ContentLength
	if most := f.mostBody(r); n < 0 || n > most {
		n = most
	}
	switch {
	case n <= smallBody:
		return func() {}
	case r.URL.Path == loginPath:
		if f.proofs.take() {
			return f.proofs.free
		}
	case !f.isKnown(w, r, meta{}, http.MethodGet, selfPath):
		return nil
	default:
		ctx, cancel := context.WithTimeout(r.Context(), roomTime)
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

// kept reads a short answer of the engine before it is written to its caller, so that a caller who
// reads slowly holds no connection to the engine. For a long one there has to be room.
func (f *relay) kept(r *http.Response) error {
	switch {
	case r.StatusCode == http.StatusSwitchingProtocols || r.ContentLength == 0:
		return nil
	case r.ContentLength <= shortAnswer && !strings.HasPrefix(r.Header.Get("Content-Type"), eventStream):
		var b bytes.Buffer
		n, err := io.CopyN(&b, r.Body, shortAnswer)
		if errors.Is(err, io.EOF) {
			err = r.Body.Close()
			r.Body = io.NopCloser(&b)
			return err
		}
		if err != nil || n < shortAnswer {
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
