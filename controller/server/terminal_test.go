package server_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	sockets "github.com/hostler-project/hostler/controller/server/connect"
	"github.com/hostler-project/hostler/pool"
)

// screen is a browser's end of a terminal.
type screen struct {
	*websocket.Conn
	t *testing.T
}

// open dials a terminal as somebody from a page of an origin, and returns the status where that is
// refused.
func openTerminal(t *testing.T, url, path, who, origin string) (*screen, int) {
	t.Helper()
	header := http.Header{"Authorization": {"Bearer " + who}}
	if origin != "" {
		header.Set("Origin", origin)
	}
	c, answer, err := websocket.Dial(
		t.Context(), url+path,
		&websocket.DialOptions{Subprotocols: []string{sockets.TerminalProtocol}, HTTPHeader: header},
	)
	if err != nil {
		if answer == nil {
			t.Fatal(err)
		}
		return nil, answer.StatusCode
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	c.SetReadLimit(1 << 20)
	return &screen{c, t}, 0
}

func (s *screen) say(what byte, text []byte) {
	s.t.Helper()
	if err := s.Write(s.t.Context(), websocket.MessageBinary, append([]byte{what}, text...)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *screen) shown(n int) { s.say(2, binary.BigEndian.AppendUint32(nil, uint32(n))) }

// hear returns a message; kind 0: none came within the time.
func (s *screen) hear(within time.Duration) (kind byte, text []byte) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), within)
	defer cancel()
	_, m, err := s.Read(ctx)
	if ctx.Err() != nil {
		return 0, nil
	}
	if err != nil || len(m) == 0 {
		s.t.Fatalf("%q, %v", m, err)
	}
	return m[0], m[1:]
}

// until shows output until it has a text.
func (s *screen) until(want string) {
	s.t.Helper()
	var all strings.Builder
	for !strings.Contains(all.String(), want) {
		kind, text := s.hear(time.Minute)
		if kind != 3 {
			said := all.String()
			s.t.Fatalf("%d %q before %q; after %d bytes, %q", kind, text, want, len(said), said[max(0, len(said)-200):])
		}
		all.Write(text)
		s.shown(len(text))
	}
}

// end shows output until the terminal ends.
func (s *screen) end() (end api.TerminalEnd) {
	s.t.Helper()
	for {
		kind, text := s.hear(time.Minute)
		if kind == 3 {
			s.shown(len(text))
			continue
		}
		if kind != 4 || json.Unmarshal(text, &end) != nil {
			s.t.Fatalf("%d %q is no end", kind, text)
		}
		return end
	}
}

// leased is a controller of which ann has an instance.
func leased(t *testing.T) (url string, c *client.Client, l compute.Lease) {
	t.Helper()
	t.Setenv("SHELL", "/bin/sh")
	url = serve(t, engine(t))
	c = connect(t, url, "ann")
	ls, err := c.Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Owner: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	return url, c, ls[0]
}

// TestTerminal: a shell with a terminal, its size, and how it ends.
func TestTerminal(t *testing.T) {
	url, _, l := leased(t)
	s, status := openTerminal(t, url, "/v1/instances/"+string(l.Instance)+"/terminal?rows=31&columns=99", "ann", url)
	if s == nil {
		t.Fatal(status)
	}
	s.say(0, []byte("stty size; stty -echo\n"))
	s.until("31 99")
	s.say(1, []byte{0, 40, 0, 120})
	s.say(1, []byte{0, 0, 0, 120}) // nonsense is passed over
	s.say(1, []byte{1})
	s.say(9, []byte("later versions may say more"))
	s.say(0, []byte("until [ \"$(stty size)\" = '40 120' ]; do sleep 0.01; done; echo $TERM is $((6*7))\n"))
	s.until("xterm-256color is 42")
	s.say(0, []byte("exit 7\n"))
	if end := s.end(); end.Status != 7 || end.Signal != "" {
		t.Errorf("it ended with %+v", end)
	}
}

// TestTerminalRefused: the checks of connect, and pages of elsewhere.
func TestTerminalRefused(t *testing.T) {
	url, _, l := leased(t)
	path := "/v1/instances/" + string(l.Instance) + "/terminal"
	for _, c := range []struct {
		what, path, who, origin string
		status                  int
	}{
		{"another page", path, "ann", "https://elsewhere.example", http.StatusForbidden},
		{"a page of this name at another port", path, "ann", "http://127.0.0.1:1", http.StatusForbidden},
		{"nobody", path, "", url, http.StatusUnauthorized},
		{"another", path, "bob", url, http.StatusForbidden},
		{"another who says that it is anybody's", path + "?any=true", "bob", url, http.StatusForbidden},
		{"none of this name", "/v1/instances/web-99/terminal", "ann", url, http.StatusNotFound},
		{"a size of nothing", path + "?rows=0", "ann", url, http.StatusBadRequest},
		{"a size of all", path + "?columns=100000", "ann", url, http.StatusBadRequest},
	} {
		if s, status := openTerminal(t, url, c.path, c.who, c.origin); s != nil || status != c.status {
			t.Errorf("%s: %d, not %d", c.what, status, c.status)
		}
	}
	if s, status := openTerminal(t, url, path+"?any=true", "root", url); s == nil {
		t.Errorf("an administrator is refused with %d", status)
	}
}

// TestTerminalWindow: output waits for the browser to show it.
func TestTerminalWindow(t *testing.T) {
	url, _, l := leased(t)
	s, status := openTerminal(t, url, "/v1/instances/"+string(l.Instance)+"/terminal", "ann", url)
	if s == nil {
		t.Fatal(status)
	}
	s.say(0, []byte("stty -echo; echo re''ady\n"))
	s.until("ready")
	s.say(0, []byte("head -c 524288 /dev/zero | tr '\\000' x; echo do''ne\n"))
	got := 0
	for got < 256<<10 {
		_, text := s.hear(time.Minute)
		got += len(text)
	}
	if got > 256<<10 {
		t.Errorf("%d bytes came, and none was shown", got)
	}
	s.shown(got)
	s.until("done")
}

// TestTerminalOfAnEndedLease: it ends with the lease, and says so.
func TestTerminalOfAnEndedLease(t *testing.T) {
	url, c, l := leased(t)
	s, status := openTerminal(t, url, "/v1/instances/"+string(l.Instance)+"/terminal", "ann", url)
	if s == nil {
		t.Fatal(status)
	}
	s.say(0, []byte("echo re''ady\n"))
	s.until("ready")
	if err := c.Release(t.Context(), compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, l.Instance); err != nil {
		t.Fatal(err)
	}
	if end := s.end(); !strings.Contains(end.Reason, "lease") {
		t.Errorf("it ended with %+v", end)
	}
}

// vanishing is an engine of which each computer goes as soon as a shell runs there, after what
// happens before.
type vanishing struct {
	*pool.Pool
	before func(compute.ID) error
}

func (v vanishing) Connect(ctx context.Context, by compute.Who, name compute.ID) (compute.Conn, error) {
	c, err := v.Pool.Connect(ctx, by, name)
	return vanished{c, func() error { return v.before(name) }}, err
}

type vanished struct {
	compute.Conn
	before func() error
}

func (v vanished) Run(context.Context, *compute.Command) (compute.Exit, error) {
	if err := v.before(); err != nil {
		return compute.Exit{}, err
	}
	return compute.Exit{}, &compute.Error{Kind: compute.ErrLost, Err: compute.Ended(errors.New("somebody deleted the pod"))}
}

// TestTerminalOfATakenComputer: where another process ended the lease, and took the computer away,
// it is the lease's end that is told, whatever the provider here makes of it.
func TestTerminalOfATakenComputer(t *testing.T) {
	e := engine(t)
	release := func(name compute.ID) error {
		return e.Release(t.Context(), compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, name)
	}
	for says, before := range map[string]func(compute.ID) error{
		"the lease has ended":      release,
		"somebody deleted the pod": func(compute.ID) error { return nil },
	} {
		url := serve(t, vanishing{e, before})
		ls, err := connect(t, url, "ann").Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Owner: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		s, status := openTerminal(t, url, "/v1/instances/"+string(ls[0].Instance)+"/terminal", "ann", url)
		if s == nil {
			t.Fatal(status)
		}
		if end := s.end(); !strings.Contains(end.Reason, says) {
			t.Errorf("it ended with %+v, not as %s", end, says)
		}
	}
}
