// Package idempotency answers a repeated request with the first answer. A request says with the
// header Idempotency-Key that a later one with the same key is the same. The answer is stored, and
// leases record the key of their request, so that neither a controller that was killed nor a client
// that asks another controller makes anything twice.
package idempotency

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
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/server/route"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/text/exactjson"
)

const (
	MaxKey    = 255     // bytes of a key
	maxAnswer = 8 << 20 // bytes of an answer that is kept
	keepTime  = 5 * time.Second
	// for the body of a request with a key, as huma has for others
	bodyTime = 5 * time.Second
)

// Creates reports whether a repeated request of a path would make something a second time.
func Creates(path string) bool {
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

// Once answers requests with a key once.
type Once struct {
	Options
	flights inflightKeys
	given   given
}

// Options connect a Once to its surroundings.
type Options struct {
	Engine func() Engine
	Store  Store // nil: keys of requests are ignored
	Errors request.Errors
	Ring   func() // called when a request may have left work to do
}

// Engine gives leases and takes them back.
type Engine interface {
	Acquire(ctx context.Context, req compute.Request) ([]compute.Lease, error)
	Release(ctx context.Context, who compute.Who, opt compute.ReleaseOptions, names ...compute.ID) error
	Leases(ctx context.Context, q inventory.LeaseQuery) ([]compute.Lease, error)
}

// New returns a Once.
func New(o Options) *Once { return &Once{Options: o} }

type (
	markKey     struct{}
	keyKey      struct{}
	recorderKey struct{}
)

// Handler answers a repeated request with the same key as the first time. A request that failed has
// changed nothing, so it is tried again.
func (o *Once) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := r.Header.Values(api.KeyHeader)
		if len(given) == 0 || o.Store == nil || r.Method != http.MethodPost || !Creates(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		key := given[0]
		refuse := func(kind error, text string) {
			o.Errors.Refuse(w, r, &compute.Error{Kind: kind, Err: errors.New(text)})
		}
		if key == "" || len(given) > 1 { // the client wants it done once
			refuse(
				compute.ErrInvalid,
				api.KeyHeader+": it is empty, or there are several: give one of your choice, or leave the header out",
			)
			return
		}
		if len(key) > MaxKey {
			refuse(compute.ErrInvalid, api.KeyHeader+": at most 255 bytes")
			return
		}
		limit := http.NewResponseController(w)
		_ = limit.SetReadDeadline(time.Now().Add(bodyTime)) // fails only in tests
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, route.MaxBody))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			refuse(compute.ErrTimeout, "the request's body did not come within "+bodyTime.String())
			return
		}
		_ = limit.SetReadDeadline(time.Time{})
		if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
			o.Errors.RefuseLarge(w, r, route.MaxBody)
			return
		}
		if err != nil {
			refuse(compute.ErrInvalid, "the request's body: "+err.Error())
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		owner := request.Caller(r.Context()).Name
		key = keyWithin(request.Caller(r.Context()), key)
		digest := digestOf(r.URL.Path, r.URL.RawQuery, string(body), r.Header.Get(api.ProjectHeader))
		served, stop := context.WithCancel(r.Context())
		defer stop()
		for {
			other, end := o.flights.take(owner, key, digest, stop)
			if other == nil {
				defer func() {
					if end() && r.URL.Path == "/v1/leases" {
						if err := o.giveBackAll(context.WithoutCancel(r.Context()), owner, key); err != nil {
							o.Errors.LogOf(r.Context()).Warn("what a request was given that was given up is not given back", "err", err)
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
		if turns, ok := o.Store.(keyLock); ok && r.URL.Path == "/v1/leases" {
			end, err := turns.Turn(served, mark)
			if err != nil {
				o.Errors.Refuse(w, r, err)
				return
			}
			defer end()
		}
		a, err := o.answered(r.Context(), owner, key, mark, digest, body)
		switch {
		case err != nil && !errors.Is(err, compute.ErrNotFound):
			o.Errors.Refuse(w, r, err)
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
		if keeper, ok := o.Store.(Keeper); ok && r.URL.Path != "/v1/leases" {
			o.keepFirst(w, r, next, keeper, store.Answer{Owner: owner, Key: key, Digest: digest})
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
			o.Store.Remember(a)
		}
	})
}

// keepFirst stores an answer before it sends it, so that a client never gets a second answer after
// the controller was killed.
func (o *Once) keepFirst(w http.ResponseWriter, r *http.Request, next http.Handler, keeper Keeper, a store.Answer) {
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
			o.Errors.LogOf(r.Context()).Warn("an answer to a request with a key is not kept yet", "err", err)
			o.Store.Remember(a)
		}
	}
	w.WriteHeader(out.status)
	_, _ = w.Write(out.body.Bytes()) // nobody is left to tell
}

// tokensPath is the path that makes tokens.
const tokensPath = "tokens"

// withoutToken returns what is stored of an answer that has a token in it. A token is told once and
// not stored, so a repeated request is refused and told which token to revoke.
func withoutToken(a store.Answer) store.Answer {
	var doc api.NewToken
	_ = json.Unmarshal(a.Body, &doc) // this server made it
	p := api.NewProblem(&compute.Error{ID: compute.ID(doc.Token.ID), Kind: compute.ErrConflict,
		Err:  errors.New("this token was made for the same request, and its text is told once"),
		Hint: "if its answer was lost revoke the token, and ask with another " + api.KeyHeader})
	a.Status, a.Type = p.Status, api.ProblemType
	a.Body, _ = json.Marshal(p) // only texts and numbers
	return a
}

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
func (o *Once) answered(ctx context.Context, owner, key, mark, digest string, body []byte) (store.Answer, error) {
	a, err := o.Store.Answer(ctx, owner, key)
	if err == nil || !errors.Is(err, compute.ErrNotFound) {
		return a, err
	}
	if _, ok := o.Store.(Shared); ok {
		return a, &compute.Error{Kind: compute.ErrNotFound} // the engine finds the leases
	}
	before, err := o.given.find(ctx, o.Engine(), mark)
	if err != nil || len(before) == 0 {
		return a, errors.Join(err, &compute.Error{Kind: compute.ErrNotFound})
	}
	a = store.Answer{Owner: owner, Key: key, Time: time.Now(), Status: http.StatusCreated, Type: "application/json"}
	if _, a.Digest, _ = KeyOf(before[0]); a.Digest == digest {
		var in api.AcquireRequest
		if err := exactjson.Unmarshal(body, &in); err != nil {
			return a, &compute.Error{Kind: compute.ErrInvalid, Err: err}
		}
		if a.Body, err = json.Marshal(Answer(before, in.Count != nil)); err != nil {
			return a, err
		}
		o.Store.Remember(a)
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

// Answer builds the answer to a request. many: the request had a count.
func Answer(leases []compute.Lease, many bool) (out api.Acquired) {
	if many {
		out.Leases = make([]api.Lease, len(leases))
		for i, l := range leases {
			out.Leases[i] = api.NewLease(l)
		}
	}
	if len(leases) > 0 {
		out.Lease = api.NewLease(leases[0])
	}
	return out
}

// Mark returns what leases record of the request with a key that they are given to; not ok: the
// request has no key.
func Mark(ctx context.Context) (mark string, ok bool) {
	mark, ok = ctx.Value(markKey{}).(string)
	return mark, ok
}
