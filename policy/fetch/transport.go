package fetch

import (
	"errors"
	"net"
	"net/http"
	"net/url"
)

// Transport is a way for HTTP that goes only where the guard lets it. It takes the settings of
// base, nil for the usual ones, and leaves its dialers alone.
//
// A proxy that base names for a request, as $HTTPS_PROXY does, is the operator's own way out and is
// dialed as it is. The host of the request is judged before as far as its name is known here; what
// the proxy makes of the name is the proxy's, so that one needs rules of its own.
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
	direct, proxied *http.Transport // two, so that a connection of one is never the other's
}

// RoundTrip refuses what is no HTTP and a redirect that gives TLS up.
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

// close does for a request that is not made what a RoundTripper owes it.
func (t *transport) close(r *http.Request, err error) error {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return err
}

// CloseIdleConnections ends those that are kept.
func (t *transport) CloseIdleConnections() {
	t.direct.CloseIdleConnections()
	if t.proxied != nil {
		t.proxied.CloseIdleConnections()
	}
}
