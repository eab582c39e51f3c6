package apiprocess

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth/certificate"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/controller/server/request"
	"github.com/hostler-project/hostler/controller/web"
)

// forwardedHeaders are the headers of requests that somebody in the engine reads. No other gets
// there.
var forwardedHeaders = []string{
	"Accept", "Accept-Encoding", "Authorization", "Content-Type", "Cookie", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range",
	"If-Unmodified-Since", "Last-Event-Id", "Origin", "Range", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Websocket-Extensions",
	"Sec-Websocket-Key", "Sec-Websocket-Protocol", "Sec-Websocket-Version", "Traceparent", "Tracestate", "Upgrade", "User-Agent",
	"X-Access-Token", "X-Forwarded-For", "X-Forwarded-Prefix", "X-Forwarded-Proto", passedHeader,
	api.KeyHeader, api.PageHeader, api.ProjectHeader, api.ReasonHeader, request.Header,
}

// passedHeader names the SlapOS masters that have passed a request on.
const passedHeader = "Hostler-Passed"

// unknownPath is a path that no operation has.
const unknownPath = "/v1/-"

// selfPath is the operation that tells who the caller is, and that everybody known may ask.
const selfPath = "/v1/self"

// loginPath is the operation that takes a body from anybody.
const loginPath = "/v1/login"

// descriptions is what the paths of the API's descriptions begin with.
const descriptions = "/openapi"

// slaposPath is below which a SlapOS master has paths of its own.
const slaposPath = "/slapos/"

// idle is how long a socket to the engine is kept for the next request: less than the engine keeps
// it.
const idle = time.Minute

// keptSockets is how many are kept for later requests.
const keptSockets = 256

// relay answers clients by asking the engine.
type relay struct {
	transport http.RoundTripper
	aside     http.RoundTripper // for handshakes, and for what the engine asks itself
	proxy     *httputil.ReverseProxy
	table     http.Handler // the operations, and the page
	kinds     *server.Kinds
	slapos    http.Handler // nil: there is no SlapOS master
	limits
}

func newRelay(s setup, dial func() (net.Conn, error)) *relay {
	transport := func(conns int) http.RoundTripper {
		return &http.Transport{
			DialContext:        func(context.Context, string, string) (net.Conn, error) { return dial() },
			DisableCompression: true, MaxIdleConnsPerHost: keptSockets, MaxConnsPerHost: conns, IdleConnTimeout: idle,
		}
	}
	f := &relay{transport: transport(s.Sockets), aside: transport(aside)}
	f.proxy = &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.Out.Header = f.headers(p) }, Transport: f.transport, FlushInterval: -1,
		ErrorLog: log.New(io.Discard, "", 0), ErrorHandler: unreachable,
		ModifyResponse: func(r *http.Response) error { r.Header.Del(server.RefusedHeader); return f.bufferShort(r) },
	}
	f.limits = newLimits(s)
	checked, kinds := server.Checked(s.Version, f.serve)
	f.table, f.kinds = web.Handler(checked), kinds
	if s.Slapos {
		f.slapos = LimitBodyTime(http.HandlerFunc(f.toSlapos))
	}
	return f
}

// ServeHTTP relays what an operation takes. What this process has an answer for itself is told when
// the engine, which knows who asks and by which name, has nothing else to say.
func (f *relay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isHealth(r) {
		w.Header().Set(request.Header, request.IDOf(r))
		_, _ = io.WriteString(w, "ok\n") // nobody is left to tell
		return
	}
	free, ok := f.requests.Take(networkOf(r), 1)
	if !ok {
		tooManyRequests.refuse(w, r)
		return
	}
	defer free()
	if r.ProtoMajor != 1 {
		// an answer that nobody reads has its place until then
		defer func() { _ = http.NewResponseController(w).Flush() }()
	}
	absolute := r.URL.IsAbs() || r.URL.Host != "" || !strings.HasPrefix(r.URL.Path, "/")
	if !absolute && f.slapos != nil && strings.HasPrefix(r.URL.Path, slaposPath) {
		f.slapos.ServeHTTP(w, r)
		return
	}
	if free = f.reserve(w, r); free == nil {
		return
	}
	defer free()
	held := &bufferedResponse{ResponseWriter: w, header: http.Header{}}
	if absolute {
		writeProblem(held, api.NewProblem(&compute.Error{
			Kind: compute.ErrInvalid, Err: errors.New("a request has a path, and no address: this is no proxy"),
		}))
		held.status = http.StatusMisdirectedRequest
	} else {
		f.table.ServeHTTP(held, r)
	}
	if held.relayed {
		return
	}
	said := meta{Ask: askPage}
	if held.status >= http.StatusBadRequest {
		said = meta{Ask: askRefuse, Status: held.status}
	}
	f.askFirst(held, r, said)
}

// isHealth reports whether a request asks if this process answers.
func isHealth(r *http.Request) bool {
	return r.URL.Path == "/healthz" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// probed answers the engine's own question whether this process answers, by asking the engine.
func (f *relay) probed(w http.ResponseWriter, r *http.Request) {
	ask := r.Clone(r.Context())
	ask.URL, ask.RequestURI = &url.URL{Scheme: "http", Host: "engine", Path: r.URL.Path}, ""
	ask.Header = http.Header{metaHeader: {meta{}.of(r)}}
	got, err := f.aside.RoundTrip(ask)
	if err != nil {
		unreachable(w, r, err)
		return
	}
	defer got.Body.Close()
	w.WriteHeader(got.StatusCode)
}

// isKnown asks the engine at a path whether it knows the caller of a request with a large body,
// before that is read. If not, the engine's answer is relayed.
func (f *relay) isKnown(w http.ResponseWriter, r *http.Request, said meta, method, path string) bool {
	ask := r.Clone(r.Context())
	ask.Method, ask.URL, ask.RequestURI = method, &url.URL{Scheme: "http", Host: "engine", Path: path}, ""
	ask.Body, ask.ContentLength, ask.TransferEncoding, ask.Trailer = nil, 0, nil, nil
	ask.Header = forwarded(r.Header)
	ask.Header.Set(metaHeader, said.of(r))
	got, err := f.transport.RoundTrip(ask)
	if err != nil {
		unreachable(w, r, err)
		return false
	}
	defer got.Body.Close()
	if got.StatusCode < http.StatusBadRequest {
		return true
	}
	got.Header.Del(deliveryHeader)
	maps.Copy(w.Header(), got.Header)
	w.WriteHeader(got.StatusCode)
	_, _ = io.Copy(w, got.Body) // nobody is left to tell
	return false
}

// askFirst gives an answer of this process, or what the engine says instead.
func (f *relay) askFirst(held *bufferedResponse, r *http.Request, said meta) {
	ask := r.Clone(r.Context())
	ask.Body, ask.ContentLength, ask.TransferEncoding, ask.Trailer, ask.RequestURI = nil, 0, nil, nil, ""
	ask.URL = &url.URL{Scheme: "http", Host: "engine", Path: r.URL.Path, RawPath: r.URL.RawPath}
	switch held.status {
	// no operation's
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusMisdirectedRequest:
		ask.Method, ask.URL = http.MethodGet, &url.URL{Scheme: "http", Host: "engine", Path: unknownPath}
	}
	ask.Header = forwarded(r.Header)
	ask.Header.Set(metaHeader, said.of(r))
	got, err := f.transport.RoundTrip(ask)
	if err != nil {
		unreachable(held.ResponseWriter, r, err)
		return
	}
	defer got.Body.Close()
	mine := got.Header.Get(server.RefusedHeader) != ""
	got.Header.Del(server.RefusedHeader)
	got.Header.Del(deliveryHeader)
	to := held.ResponseWriter
	if mine {
		if held.body.Len() > shortResponse { // such as a file of the page
			free, ok := f.described.Take(networkOf(r), 1)
			if !ok {
				tooManyRequests.refuse(to, r)
				return
			}
			defer free()
		}
		for _, name := range []string{"Content-Length", "Date"} {
			got.Header.Del(name)
		}
		maps.Copy(to.Header(), got.Header)
		maps.Copy(to.Header(), held.header)
		// a HEAD may have written nothing
		to.WriteHeader(cmp.Or(held.status, http.StatusOK))
		_, _ = to.Write(held.body.Bytes()) // nobody is left to tell
		return
	}
	maps.Copy(to.Header(), got.Header)
	to.WriteHeader(got.StatusCode)
	_, _ = io.Copy(to, got.Body)
}

// serve relays a request that an operation takes, with its body as that wrote it.
func (f *relay) serve(w http.ResponseWriter, r *http.Request, body []byte) {
	held, ok := w.(*bufferedResponse)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	held.relayed = true
	out := r.Clone(r.Context())
	out.Body, out.ContentLength, out.TransferEncoding, out.Trailer = http.NoBody, 0, nil, nil
	out.URL.RawQuery = r.URL.Query().Encode()
	if body != nil && r.ContentLength != 0 {
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	f.pass(held.ResponseWriter, out, meta{})
}

// pass relays a request as it is, but for its headers and its query, which are written anew.
func (f *relay) pass(w http.ResponseWriter, r *http.Request, said meta) {
	h := &hold{of: f.long, who: callerOf(r)}
	defer h.end()
	ctx, cancel := context.WithCancelCause(context.WithValue(r.Context(), metaKey{}, said.of(r)))
	defer cancel(nil)
	h.late = time.AfterFunc(patience, func() {
		if !h.take() {
			cancel(tooManyLong)
		}
	})
	defer h.late.Stop()
	r = r.Clone(context.WithValue(ctx, holdKey{}, h))
	r.Trailer = nil
	r.URL = &url.URL{Scheme: "http", Host: "engine", Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	to := &reportingWriter{ResponseWriter: w, relay: f}
	defer to.end()
	f.proxy.ServeHTTP(to, r)
}

type metaKey struct{}

// headers are those that go to the engine: of what came the known ones, and what upgrades a
// connection.
func (f *relay) headers(p *httputil.ProxyRequest) http.Header {
	out := forwarded(p.In.Header)
	if v := p.Out.Header["Connection"]; v != nil {
		out["Connection"] = v
	}
	text, _ := p.In.Context().Value(metaKey{}).(string)
	out.Set(metaHeader, text)
	p.Out.Host = p.In.Host
	return out
}

func forwarded(from http.Header) http.Header {
	out := http.Header{"User-Agent": {""}} // else one is made up
	for _, name := range forwardedHeaders {
		if v := from.Values(name); v != nil {
			out[http.CanonicalHeaderKey(name)] = v
		}
	}
	return out
}

// of says what this process knows of a request.
func (m meta) of(r *http.Request) string {
	m.Major, m.From = r.ProtoMajor, r.RemoteAddr
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		m.At = at.String()
	}
	if r.TLS != nil {
		m.TLS = true
		for _, c := range r.TLS.PeerCertificates {
			m.Chain = append(m.Chain, c.Raw)
		}
	}
	text, _ := json.Marshal(m) // it has but texts and numbers
	return string(text)
}

func unreachable(w http.ResponseWriter, r *http.Request, err error) {
	var busy busyError
	if errors.As(err, &busy) || errors.As(context.Cause(r.Context()), &busy) {
		writeProblem(w, busy.problem())
		return
	}
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the caller has hung up
	}
	writeProblem(w, api.NewProblem(&compute.Error{
		Kind: compute.ErrUnavailable, Err: errors.New("the controller's engine does not answer"), Hint: "try again soon",
	}))
}

// bufferedResponse is one that this process has itself, kept until the engine agrees; or the way
// through to the caller.
type bufferedResponse struct {
	http.ResponseWriter
	header  http.Header
	status  int
	body    bytes.Buffer
	relayed bool
}

func (a *bufferedResponse) Header() http.Header { return a.header }

func (a *bufferedResponse) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *bufferedResponse) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// Unwrap gives the connection's own, for its deadlines.
func (a *bufferedResponse) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// askEngine asks the engine for what is not a request's, by one of the transports.
func askEngine(by http.RoundTripper, ask string, body []byte) ([]byte, error) {
	text, _ := json.Marshal(meta{Ask: ask}) // it has but texts
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://engine/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set(metaHeader, string(text))
	got, err := by.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer got.Body.Close()
	out, err := io.ReadAll(io.LimitReader(got.Body, maxAnswer))
	if err == nil && got.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(out)))
	}
	return out, err
}

const (
	askTime   = 10 * time.Second
	maxAnswer = 1 << 20
)

// sign has the engine sign.
func (f *relay) sign(q certificate.Signing) ([]byte, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	return askEngine(f.aside, askSign, body)
}
