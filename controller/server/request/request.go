// Package request holds what is known of one request while it is served: its id, its caller, and
// its entry for the audit log. Its Errors answer what goes wrong as problem documents.
package request

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/compute"
)

// Header has the id of a request, in requests, answers and the log. It is the caller's id if that
// is a plain word, else a new one.
const Header = "X-Request-Id"

type (
	idKey     struct{}
	callerKey struct{}
	entryKey  struct{}
)

// IDOf returns the caller's id if it can stand in a log, else a new one.
func IDOf(r *http.Request) string {
	id := r.Header.Get(Header)
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.", c)
	}
	if id != "" && len(id) <= 64 && strings.IndexFunc(id, func(c rune) bool { return !plain(c) }) < 0 {
		return id
	}
	return fmt.Sprintf("%016x", rand.Uint64()) // it tells requests apart and needs no secrecy
}

// WithID returns a context with the id of a request.
func WithID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, idKey{}, id)
}

// idOf returns the id of a request; "": it has none.
func idOf(ctx context.Context) string {
	id, _ := ctx.Value(idKey{}).(string)
	return id
}

// WithCaller returns a context with the caller of a request.
func WithCaller(ctx context.Context, p auth.Principal) context.Context {
	return context.WithValue(ctx, callerKey{}, p)
}

// Caller returns the caller of a request.
func Caller(ctx context.Context) auth.Principal {
	p, _ := ctx.Value(callerKey{}).(auth.Principal) // access.Gate has set it
	return p
}

type holdKey struct{}

// WithHold returns a context with what counts the bytes of its request's answer, and reports
// whether the caller may have so many.
func WithHold(ctx context.Context, hold func(bytes int) bool) context.Context {
	return context.WithValue(ctx, holdKey{}, hold)
}

// Hold counts the bytes of an answer until it is written. The error refuses a caller that reads too
// many at once.
func Hold(ctx context.Context, bytes int) error {
	if hold, ok := ctx.Value(holdKey{}).(func(int) bool); ok && !hold(bytes) {
		return &compute.Error{
			Kind: compute.ErrNoCapacity, Err: errors.New(Caller(ctx).Name + " reads too many long answers at once"),
			Hint: "read those that have begun first",
		}
	}
	return nil
}

// WantsSocket reports whether a request asks for a WebSocket, before anything is done for it.
func WantsSocket(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") &&
		strings.Contains(strings.ToLower(r.Header.Get("Connection")), "upgrade")
}

// Writer passes an answer on and notes its status.
type Writer struct {
	http.ResponseWriter
	status int
}

// Status returns the status of the answer; 0: there is none yet.
func (a *Writer) Status() int { return a.status }

// WriteHeader notes the final status.
func (a *Writer) WriteHeader(status int) {
	if a.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *Writer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the abilities of the writer.
func (a *Writer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
