package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/observe/trace"
)

// Options name the controller and the caller. One of URL, Socket and Dial is required.
type Options struct {
	// https://HOST[:PORT], or http:// on loopback
	URL string
	// path of a unix socket on this machine; the kernel tells the controller the user
	Socket string
	// connects to a controller in this process
	Dial  func(ctx context.Context) (net.Conn, error)
	Token string // sent with each request; "": none
	// the reason of all requests, for the audit log; "": none
	Reason string
	// the project of all requests; nil: none is named
	Project *string
	TLS     *tls.Config // for URL; nil: the system's
	// Slow is called when a question has had no answer for two seconds, with the controller's name.
	// It must not block. nil: nobody is told.
	Slow func(controller string)
}

// Client is a connection to one controller. All methods may be called concurrently.
type Client struct{ wire *wire }

// wire sends requests to a controller and reads its answers.
type wire struct {
	base    *url.URL
	name    string // of the controller, for error messages
	token   string
	project *string
	reason  string
	slow    func(controller string)
	http    *http.Client
}

const (
	slowAfter = 2 * time.Second
	// silentMost is how long a question, which changes nothing, waits for the beginning of its
	// answer.
	silentMost = time.Minute
)

var _ compute.Leaser = (*Client)(nil)

// maxAnswer is the longest document that is read, in bytes: a page of a list.
const maxAnswer = 256 << 20

// New makes a client. It does not connect yet.
func New(opt Options) (*Client, error) {
	t := &http.Transport{
		MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute, TLSClientConfig: opt.TLS,
		ForceAttemptHTTP2: opt.Socket == "" && opt.Dial == nil, Proxy: http.ProxyFromEnvironment,
	}
	c := &Client{&wire{
		token: opt.Token, project: opt.Project, reason: opt.Reason, slow: opt.Slow,
		http: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}}
	if opt.Dial != nil {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return opt.Dial(ctx) }
		c.wire.base, c.wire.name = &url.URL{Scheme: "http", Host: "hostler"}, "this process"
		return c, nil
	}
	if opt.Socket != "" {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", opt.Socket)
		}
		c.wire.base, c.wire.name = &url.URL{Scheme: "http", Host: "hostler"}, "unix:"+opt.Socket
		return c, nil
	}
	u, err := url.Parse(opt.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		err = errors.New("want http://HOST:PORT, https://HOST or unix:PATH")
	}
	if err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		err = errors.New("http without TLS is for this machine alone: use https")
	}
	if err != nil {
		return nil, &compute.Error{Op: "client.New", Kind: compute.ErrInvalid, Err: fmt.Errorf("controller %s: %w", opt.URL, err)}
	}
	c.wire.base, c.wire.name = u, u.Host
	return c, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Close closes idle connections.
func (c *Client) Close() error {
	c.wire.http.CloseIdleConnections()
	return nil
}

// request builds a request with an optional document as its body.
func (w *wire) request(ctx context.Context, method, path string, query url.Values, in any) (*http.Request, error) {
	u := *w.base
	u.RawQuery = query.Encode()
	rel, err := url.Parse(strings.TrimSuffix(u.Path, "/") + path) // path is escaped already
	if err != nil {
		return nil, &compute.Error{Kind: compute.ErrInvalid, Err: err}
	}
	u.Path, u.RawPath = rel.Path, rel.RawPath
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, &compute.Error{Kind: compute.ErrInvalid, Err: err}
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, &compute.Error{Kind: compute.ErrInvalid, Err: err}
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if p, state := trace.Current(ctx); p.Valid() {
		r.Header.Set("Traceparent", p.String())
		if state != "" {
			r.Header.Set("Tracestate", state)
		}
	}
	if w.token != "" {
		r.Header.Set("Authorization", "Bearer "+w.token)
	}
	if w.reason != "" {
		r.Header.Set(api.ReasonHeader, w.reason)
	}
	if w.project != nil {
		r.Header.Set(api.ProjectHeader, *w.project)
	}
	return r, nil
}

// do sends a request and reads the answer into out, unless out is nil.
func (w *wire) do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	return w.doAs(ctx, "", method, path, query, in, out)
}

// create sends a request that makes something, with a new key so that it can be repeated safely.
func (w *wire) create(ctx context.Context, path string, query url.Values, in, out any) error {
	return w.retry(ctx, func(key string) error { return w.doAs(ctx, key, http.MethodPost, path, query, in, out) })
}

// doAs is do with an idempotency key, or "".
func (w *wire) doAs(ctx context.Context, key, method, path string, query url.Values, in, out any) error {
	r, err := w.request(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	if key != "" {
		r.Header.Set(api.KeyHeader, key)
	}
	return w.send(ctx, r, out)
}

// errSilent ends a question that a controller does not answer.
var errSilent = fmt.Errorf("it took the question and has not answered within %v", silentMost)

// begun sends a request and returns the beginning of its answer; the caller calls done when it
// has read the rest. What asks and changes nothing does not wait for ever: the controller may be
// stopped.
func (w *wire) begun(r *http.Request) (answer *http.Response, done func(), err error) {
	if r.Method != http.MethodGet {
		answer, err = w.http.Do(r)
		return answer, func() {}, err
	}
	if w.slow != nil {
		slow := time.AfterFunc(slowAfter, func() { w.slow(w.name) })
		defer slow.Stop()
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	silent := time.AfterFunc(silentMost, func() { cancel(errSilent) })
	defer silent.Stop()
	if answer, err = w.http.Do(r.WithContext(ctx)); err != nil && context.Cause(ctx) == errSilent {
		err = errSilent
	}
	return answer, func() { cancel(nil) }, err
}

// send sends a request and reads the answer into out, unless out is nil.
func (w *wire) send(ctx context.Context, r *http.Request, out any) error {
	answer, done, err := w.begun(r)
	defer done()
	if err != nil {
		return w.unreachable(ctx, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return refusal(answer)
	}
	if out == nil {
		return nil
	}
	return w.read(ctx, answer, out)
}

// read decodes an answer's document.
func (w *wire) read(ctx context.Context, answer *http.Response, out any) error {
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(out); err != nil {
		return w.unreachable(ctx, fmt.Errorf("its answer: %w", err))
	}
	return nil
}

// unreachable is the error for a controller that does not answer.
func (w *wire) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // the address is said once
	}
	hint := "is `hostler serve` running there?"
	if why, text := tlsError(err); text != nil {
		err, hint = text, why
	} else if dial := (*net.OpError)(nil); !errors.As(err, &dial) || dial.Op != "dial" {
		err = &lostAnswer{err}
	}
	return &compute.Error{Kind: compute.ErrUnavailable, Err: fmt.Errorf("the controller %s: %w", w.name, err), Hint: hint}
}

// refusal returns the error of an answer that is not a success.
func refusal(answer *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	var p api.Problem
	if !strings.HasPrefix(answer.Header.Get("Content-Type"), api.ProblemType) || json.Unmarshal(text, &p) != nil {
		p = api.Problem{Detail: "the controller answers " + answer.Status, Hint: "is it a controller of hostler that listens there?"}
		// the words of package net/http
		if strings.Contains(string(text), "HTTP request to an HTTPS server") {
			p = api.Problem{Detail: "the controller speaks TLS there, and was asked without", Hint: "https:// in its address"}
		}
	}
	p.Status = answer.StatusCode
	return p.Err()
}

// onBehalf returns the query for acting as who, where that is not just the caller.
func onBehalf(who compute.Who) url.Values {
	q := url.Values{}
	if who.Admin {
		q.Set("any", "true")
	}
	if who.Lease != "" {
		q.Set("token", who.Lease)
	}
	return q
}
