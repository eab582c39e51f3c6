package fetch

import (
	"errors"
	"net"
	"net/http"
	"net/url"
)

// Transport returns an HTTP transport that connects only where the guard allows. It has the
// settings of base, without its dialers; nil means http.DefaultTransport.
//
// A proxy that base uses, as $HTTPS_PROXY sets, is the operator's own way out and is dialed as it
// is. The requested host is judged first if its name resolves here. What the proxy makes of the
// name is unknown, so a proxy needs rules of its own.
func (g *Guard) Transport(base *http.Transport) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport.(*http.Transport)
	}
	t := &transport{guard: g, proxy: base.Proxy, direct: base.Clone()}
	t.direct.Proxy, t.direct.DialContext, t.direct.DialTLSContext = nil, g.DialContext, nil
	if base.Proxy != nil {
		t.proxied = base.Clone()
	}
	return t
}

type transport struct {
	guard           *Guard
	proxy           func(*http.Request) (*url.URL, error)
	direct, proxied *http.Transport // separate, so that they never share a connection
}

// RoundTrip refuses other schemes than HTTP, and a redirect from https to http.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	port := r.URL.Port()
	switch {
	case r.URL.Scheme == "https" && port == "":
		port = "443"
	case r.URL.Scheme == "http" && port == "":
		port = "80"
	case r.URL.Scheme != "http" && r.URL.Scheme != "https":
		return nil, t.close(r, t.guard.refuse(ctx, &Refused{Host: r.URL.Hostname(), Why: "the scheme " + shown(r.URL.Scheme)}))
	}
	if from := r.Response; from != nil && from.Request != nil && from.Request.URL.Scheme == "https" && r.URL.Scheme == "http" {
		return nil, t.close(r, t.guard.refuse(ctx, &Refused{Host: r.URL.Hostname(), Why: "a redirect from https to http"}))
	}
	if t.proxy == nil {
		return t.direct.RoundTrip(r)
	}
	by, err := t.proxy(r)
	if err != nil {
		return nil, t.close(r, err)
	}
	if by == nil {
		return t.direct.RoundTrip(r)
	}
	if err := t.guard.Check(ctx, net.JoinHostPort(r.URL.Hostname(), port)); err != nil && !errors.As(err, new(*Unknown)) {
		return nil, t.close(r, err)
	}
	return t.proxied.RoundTrip(r)
}

// close closes the body of a request that is not sent, as a RoundTripper must.
func (t *transport) close(r *http.Request, err error) error {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return err
}

// CloseIdleConnections closes the idle connections.
func (t *transport) CloseIdleConnections() {
	t.direct.CloseIdleConnections()
	if t.proxied != nil {
		t.proxied.CloseIdleConnections()
	}
}
