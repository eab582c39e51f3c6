package container

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// The versions of the Engine API that this package speaks. It needs nothing newer than 1.40, Docker
// 19.03's. But engines drop old versions: current ones begin at 1.44.
const (
	oldest = "1.40"
	newest = "1.52"
)

// engine is a Docker or Podman behind a unix socket.
type engine struct {
	find func() (string, error) // looks for the socket at each call, as engines come and go

	mu    sync.Mutex
	known *about // the engine's answer to a ping; nil: not asked yet
}

// about is an engine's answer to a ping.
type about struct {
	name    string // "docker" or "podman"
	release string // its own version
	api     string // the version of the API that we speak to it
}

// dial opens a connection to the engine.
func (e *engine) dial(ctx context.Context) (net.Conn, error) {
	socket, err := e.find()
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		e.forget()
		return nil, e.unreachable(ctx, socket, err)
	}
	return conn, nil
}

// meet checks that an engine answers.
func (e *engine) meet(ctx context.Context) error {
	conn, err := e.dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

func (e *engine) forget() {
	e.mu.Lock()
	e.known = nil
	e.mu.Unlock()
}

// ask pings the engine and agrees on a version, once.
func (e *engine) ask(ctx context.Context) (about, error) {
	e.mu.Lock()
	known := e.known
	e.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	resp, err := e.send(ctx, http.MethodGet, "/_ping", nil, nil, "")
	if err != nil {
		return about{}, err
	}
	resp.Body.Close()
	a := about{name: "docker", api: resp.Header.Get("Api-Version")}
	server, _, _ := strings.Cut(resp.Header.Get("Server"), " ")
	_, a.release, _ = strings.Cut(server, "/")
	if v := resp.Header.Get("Libpod-Api-Version"); v != "" {
		a.name, a.release = "podman", v
	}
	switch {
	case before(a.api, oldest):
		return about{}, &apiError{
			status: http.StatusBadRequest,
			text:   fmt.Sprintf("this engine speaks version %q of the API, hostler needs %s", a.api, oldest),
		}
	case before(newest, a.api):
		a.api = newest
	}
	if system := resp.Header.Get("Ostype"); system != "" && system != "linux" {
		return about{}, &apiError{status: http.StatusBadRequest, text: "this engine has containers of " + system + ", hostler needs linux"}
	}
	e.mu.Lock()
	e.known = &a
	e.mu.Unlock()
	return a, nil
}

// old reports whether it is a Podman before 4.0, where every network has a name server of its own.
func (a about) old() bool { return a.name == "podman" && before(a.release, "4.0") }

// podman calls Podman's own API, for what Docker's does not have.
func (e *engine) podman(ctx context.Context, path string, in any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	resp, err := e.send(ctx, http.MethodPost, "/v4.0.0/libpod"+path, nil, bytes.NewReader(b), "application/json")
	if err == nil {
		err = resp.Body.Close()
	}
	return err
}

// before compares versions of the API.
func before(a, b string) bool {
	number := func(v string) (n int) {
		major, minor, _ := strings.Cut(v, ".")
		x, _ := strconv.Atoi(major)
		y, _ := strconv.Atoi(minor)
		return x*1000 + y
	}
	return number(a) < number(b)
}

// send makes one request on a connection of its own. To dial a unix socket costs next to nothing,
// and no kept connection means no goroutine that outlives the call. A status of 400 and above is an
// *apiError. The caller closes the body.
func (e *engine) send(
	ctx context.Context, method, path string, query url.Values, body io.Reader, kind string, header ...string,
) (*http.Response, error) {
	transport := &http.Transport{
		DisableKeepAlives: true, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return e.dial(ctx) },
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, body)
	if err != nil {
		return nil, err
	}
	req.URL.RawQuery = query.Encode()
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, broken(ctx, err)
	}
	if resp.StatusCode >= 400 {
		defer resp.Body.Close()
		return nil, readError(resp)
	}
	return resp, nil
}

// call is send with the agreed version before the path.
func (e *engine) call(
	ctx context.Context, method, path string, query url.Values, body io.Reader, kind string, header ...string,
) (*http.Response, error) {
	a, err := e.ask(ctx)
	if err != nil {
		return nil, err
	}
	return e.send(ctx, method, "/v"+a.api+path, query, body, kind, header...)
}

// do is call with JSON in both directions; in and out may be nil.
func (e *engine) do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body io.Reader
	kind := ""
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body, kind = bytes.NewReader(b), "application/json"
	}
	resp, err := e.call(ctx, method, path, query, body, kind)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer := &atMost{resp.Body, largestAnswer}
	if out == nil {
		_, err = io.Copy(io.Discard, answer)
	} else {
		err = json.NewDecoder(answer).Decode(out)
	}
	if err != nil {
		return broken(ctx, err)
	}
	return nil
}

// The limits of what is read of an engine: of an answer, and of one step of a pull.
const (
	largestAnswer = 64 << 20
	largestStep   = 1 << 20
)

var errLarge = errors.New("the engine says more than it may")

// atMost reads at most so many bytes; more are an error.
type atMost struct {
	io.Reader
	left int64
}

func (m *atMost) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, errLarge
	}
	n, err := m.Reader.Read(p[:min(int64(len(p)), m.left)])
	m.left -= int64(n)
	return n, err
}

// apiError is an engine's refusal.
type apiError struct {
	status int
	text   string
}

func (e *apiError) Error() string { return e.text }

// readError makes an *apiError of an engine's refusal.
func readError(resp *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(b, &said) != nil || said.Message == "" {
		said.Message = strings.TrimSpace(string(b))
	}
	if said.Message == "" {
		said.Message = resp.Status
	}
	return &apiError{status: resp.StatusCode, text: strings.ReplaceAll(said.Message, "\n", " ")}
}

// status returns the HTTP status of an engine's refusal, or 0.
func status(err error) int {
	var e *apiError
	if errors.As(err, &e) {
		return e.status
	}
	return 0
}
