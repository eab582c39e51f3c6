package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/jsonapi"
)

// The kinds of an [*Error].
var (
	// ErrNotFound: the master does not know it, or has no place for it, or does not have the
	// endpoint.
	ErrNotFound = errors.New("not found")
	// ErrNotReady: the master has taken the request, and there is nothing yet to be said of it: ask
	// again later.
	ErrNotReady = errors.New("not ready yet")
	// ErrDenied: the master does not let this client do that.
	ErrDenied = errors.New("denied")
	// ErrUnreachable: there was no answer in time.
	ErrUnreachable = errors.New("not reachable")
	// ErrUntrusted: one of the two sides does not trust the other's certificate.
	ErrUntrusted = errors.New("not trusted")
	// ErrRefused: the master answered with another error.
	ErrRefused = errors.New("refused")
)

// An Error says which call failed at which master, and why. errors.Is finds its kind; an answer
// that cannot be read is [ErrMalformed].
type Error struct {
	Op     string // name of the endpoint or method
	Master string // its host
	Status int    // of HTTP; 0 without an answer
	Kind   error
	Reason string // the master's words, as they may be shown
	Err    error
}

// Error is one line of text: the operation, the master, the kind, and the reasons if known.
func (e *Error) Error() string {
	text := "slap: " + e.Op + " at " + e.Master + ": " + e.Kind.Error()
	if e.Status != 0 && e.Kind == ErrRefused {
		text += fmt.Sprintf(" with status %d", e.Status)
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	if e.Err != nil {
		text += ": " + strings.TrimPrefix(e.Err.Error(), "slap: ")
	}
	return text
}

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

var errTimeout = errors.New("no answer in time")

// callError is the error of a call that had no answer.
func (c *Client) callError(ctx context.Context, op string, err error) error {
	if cause := context.Cause(ctx); cause != nil && cause != errTimeout {
		return fmt.Errorf("slap: %s at %s: %w", op, c.base.Host, cause) // the caller's own
	} else if cause != nil {
		return &Error{Op: op, Master: c.base.Host, Kind: ErrUnreachable, Err: fmt.Errorf("no answer within %v", c.timeout)}
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the URL: it may hold what is secret
	}
	e := &Error{Op: op, Master: c.base.Host, Kind: ErrUnreachable, Err: err}
	if untrusted(err) {
		e.Kind = ErrUntrusted
	}
	return e
}

// untrusted says whether an error is one of certificates or of TLS.
func untrusted(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	o, ok := errors.AsType[*net.OpError](err)
	return ok && o.Op == "remote error" || errors.Is(err, http.ErrSchemeMismatch)
}

// refusal is the error of an answer that is one.
func (c *Client) refusal(op string, status int, body []byte) error {
	e := &Error{Op: op, Master: c.base.Host, Status: status, Kind: ErrRefused, Reason: Reason(body)}
	switch status {
	case http.StatusNotFound:
		e.Kind = ErrNotFound
	case http.StatusRequestTimeout:
		e.Kind = ErrNotReady
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Kind = ErrDenied
	}
	return e
}

// badAnswer is the error of an answer of success that cannot be read.
func (c *Client) badAnswer(op string, err error) error {
	return &Error{Op: op, Master: c.base.Host, Status: http.StatusOK, Kind: proto.ErrMalformed, Err: err}
}

// The longest reason that is shown, in characters.
const maxReason = 500

// Reason is what a master says of an error in the body of its answer, as a line of text: the title
// Reason is a master's error message from the body of its answer, as a line of text: the title of
// the JSON API's, or the paragraph of a page.
func Reason(body []byte) string {
	text := string(body)
	var failure jsonapi.Failure
	if err := json.Unmarshal(body, &failure); err == nil {
		text = failure.Title
	} else if _, p, ok := strings.Cut(text, "<p>"); ok {
		p, _, _ = strings.Cut(p, "</p>")
		text = html.UnescapeString(withoutTags(p, ""))
	} else if strings.Contains(text, "<") {
		text = html.UnescapeString(withoutTags(text, " "))
	}
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\ufffd")), " ")
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > maxReason {
		text = string(runes[:maxReason]) + "…"
	}
	return text
}

// withoutTags puts something else for what stands between < and >.
func withoutTags(text, instead string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "<")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		b.WriteString(instead)
		_, text, _ = strings.Cut(rest, ">")
	}
}
