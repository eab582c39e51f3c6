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

// Options say which controller, and who asks. One of URL, Socket and Dial is required.
type Options struct {
	// https://HOST[:PORT], or http:// on loopback
	URL string
	// path of a unix socket on this machine; the controller sees by itself who we are
	Socket string
	// in place of both: a way to one in this process
	Dial  func(ctx context.Context) (net.Conn, error)
	Token string // presented with each request; "": none
	// why all requests are made, for the audit log; "": they do not say
	Reason string
	// that all requests are about; nil: they do not say
	Project *string
	TLS     *tls.Config // for URL; nil: the system's
}

// Client speaks to one controller. It may be used from many goroutines.
type Client struct{ wire *wire }

// wire makes requests of a controller and reads its answers.
type wire struct {
	base    *url.URL
	name    string // of the controller, for people
	token   string
	project *string
	reason  string
	http    *http.Client
}

var _ compute.Leaser = (*Client)(nil)

// maxAnswer is the longest document that is read, in bytes: a page of a list.
const maxAnswer = 256 << 20

// New makes a client. It connects to nothing yet.
func New(opt Options) (*Client, error) {
	t := &http.Transport{
		MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute, TLSClientConfig: opt.TLS,
		ForceAttemptHTTP2: opt.Socket == "" && opt.Dial == nil, Proxy: http.ProxyFromEnvironment,
	}
	c := &Client{&wire{
		token: opt.Token, project: opt.Project, reason: opt.Reason,
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
	if err == nil && (u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
		err = errors.New("not https://HOST")
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

// Close lets go of connections that are idle.
func (c *Client) Close() error {
	c.wire.http.CloseIdleConnections()
	return nil
}

// request makes a request of a path, with a document or none.
func (w *wire) request(ctx context.Context, method, path string, query url.Values, in any) (*http.Request, error) {
	u := *w.base
	u.RawQuery = query.Encode()
	rel, err := url.Parse(strings.TrimSuffix(u.Path, "/") + path) // the path is escaped as it is
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
	if p, state := trace.Here(ctx); p.Valid() {
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

// do asks, and reads the answer into out unless that is nil.
func (w *wire) do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	return w.doAs(ctx, "", method, path, query, in, out)
}

// create asks with a key by which the same request again makes nothing a second time.
func (w *wire) create(ctx context.Context, path string, query url.Values, in, out any) error {
	return w.repeat(ctx, func(key string) error { return w.doAs(ctx, key, http.MethodPost, path, query, in, out) })
}

// doAs is do, with a key or "".
func (w *wire) doAs(ctx context.Context, key, method, path string, query url.Values, in, out any) error {
	r, err := w.request(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	if key != "" {
		r.Header.Set(api.KeyHeader, key)
	}
	return w.answered(ctx, r, out)
}

// answered makes a request, and reads the answer into out unless that is nil.
func (w *wire) answered(ctx context.Context, r *http.Request, out any) error {
	answer, err := w.http.Do(r)
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

// read reads an answer's document.
func (w *wire) read(ctx context.Context, answer *http.Response, out any) error {
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(out); err != nil {
		return w.unreachable(ctx, fmt.Errorf("its answer: %w", err))
	}
	return nil
}

// unreachable is for a controller that does not answer.
func (w *wire) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // the address is said once
	}
	hint := "is `hostler serve` running there?"
	if why, text := distrust(err); text != nil {
		err, hint = text, why
	} else if dial := (*net.OpError)(nil); !errors.As(err, &dial) || dial.Op != "dial" {
		err = &lost{err}
	}
	return &compute.Error{Kind: compute.ErrUnavailable, Err: fmt.Errorf("the controller %s: %w", w.name, err), Hint: hint}
}

// refusal reads an error.
func refusal(answer *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	var p api.Problem
	if !strings.HasPrefix(answer.Header.Get("Content-Type"), api.ProblemType) || json.Unmarshal(text, &p) != nil {
		p = api.Problem{Detail: "the controller answers " + answer.Status, Hint: "is it a controller of hostler that listens there?"}
		// in the words of package net/http
		if strings.Contains(string(text), "HTTP request to an HTTPS server") {
			p = api.Problem{Detail: "the controller speaks TLS there, and was asked without", Hint: "https:// in its address"}
		}
	}
	p.Status = answer.StatusCode
	return p.Err()
}

// as is on whose behalf something is done, where it is not the caller's own.
func as(who compute.Who) url.Values {
	q := url.Values{}
	if who.Admin {
		q.Set("any", "true")
	}
	if who.Lease != "" {
		q.Set("token", who.Lease)
	}
	return q
}
