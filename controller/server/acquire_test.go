package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/controller/server/access"
)

// eventually waits for what others do.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("not in a minute: " + what)
		}
	}
}

// waitingFor is how many requests wait.
func waitingFor(t *testing.T, c *client.Client) int {
	t.Helper()
	all, err := c.Status(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("all = %v, err = %v; want no error and len(all) == 1", all, err)
	}
	return all[0].Waiting
}

// TestProgress: who waits hears at which place, is served in order, and leaves the queue when he
// hangs up.
func TestProgress(t *testing.T) {
	c := connect(t, serve(t, engine(t)), "ann")
	ls, err := c.Acquire(t.Context(), compute.Request{Source: "web", Count: maximum})
	if err != nil {
		t.Fatal(err)
	}
	type answer struct {
		leases []compute.Lease
		err    error
	}
	ask := func(ctx context.Context) (<-chan compute.Progress, <-chan answer) {
		told, done := make(chan compute.Progress, 100), make(chan answer, 1)
		go func() {
			leases, err := c.Acquire(
				ctx,
				compute.Request{Source: "web", Count: 1, Wait: time.Minute, Notify: func(p compute.Progress) { told <- p }},
			)
			done <- answer{leases, err}
		}()
		return told, done
	}
	first, firstDone := ask(t.Context())
	if p := <-first; p.Phase != "wait" || p.Position != 1 {
		t.Errorf("the first hears %+v", p)
	}
	ctx, hangUp := context.WithCancel(t.Context())
	second, secondDone := ask(ctx)
	if p := <-second; p.Phase != "wait" || p.Position != 2 {
		t.Errorf("the second hears %+v", p)
	}
	third, thirdDone := ask(t.Context())
	if p := <-third; p.Position != 3 {
		t.Errorf("the third hears %+v", p)
	}
	hangUp()
	if a := <-secondDone; !errors.Is(a.err, context.Canceled) {
		t.Errorf("who hung up has %+v", a)
	}
	p := <-third
	for p.Position == 3 { // for how long may have changed meanwhile
		p = <-third
	}
	if p.Position != 2 {
		t.Errorf("the third hears %+v when one before it has gone", p)
	}
	eventually(t, "the queue has 2", func() bool { return waitingFor(t, c) == 2 })
	for i, done := range []<-chan answer{firstDone, thirdDone} {
		if err := c.Release(t.Context(), compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, ls[i].Instance); err != nil {
			t.Fatal(err)
		}
		if a := <-done; a.err != nil || len(a.leases) != 1 || a.leases[0].Owner != "ann" {
			t.Errorf("served: %+v", a)
		}
	}
	told := 0
	_, err = c.Acquire(
		t.Context(),
		compute.Request{Source: "web", Count: 1, Wait: 300 * time.Millisecond, Notify: func(compute.Progress) { told++ }},
	)
	if !errors.Is(err, compute.ErrTimeout) || told == 0 {
		t.Errorf("after %d words: %v", told, err)
	}
	_, err = c.Acquire(t.Context(), compute.Request{Source: "wbe", Count: 1, Notify: func(compute.Progress) {}})
	if !errors.Is(err, compute.ErrNotFound) || !strings.HasPrefix(api.Text(err), "wbe: ") {
		t.Errorf("a source that is not there: %v", err)
	}
}

// TestEnding: when a controller is about to end, who waits is told so and leaves the queue, and
// streams end.
func TestEnding(t *testing.T) {
	e, end := engine(t), make(chan struct{})
	srv := httptest.NewServer(server.New(server.Options{
		Engine:    func() server.Engine { return whole(e) },
		Version:   "test",
		Identity:  func() api.Identity { return api.Identity{} },
		Callers:   server.Callers{Authenticate: authenticate},
		Lifecycle: server.Lifecycle{Ready: func(context.Context) error { return nil }, Ending: end},
	}))
	t.Cleanup(srv.Close)
	c := connect(t, srv.URL, "ann")
	if _, err := c.Acquire(t.Context(), compute.Request{Source: "web", Count: maximum}); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 2)
	for _, notify := range []func(compute.Progress){nil, func(compute.Progress) {}} {
		go func() {
			_, err := c.Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Wait: time.Hour, Notify: notify})
			errs <- err
		}()
	}
	eventually(t, "two wait", func() bool { return waitingFor(t, c) == 2 })
	watch, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/v1/events/watch", nil)
	if err != nil {
		t.Fatal(err)
	}
	watch.Header.Set("Authorization", "Bearer ann")
	answer, err := http.DefaultClient.Do(watch)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	close(end)
	for range 2 {
		if err := <-errs; !errors.Is(err, compute.ErrUnavailable) || !strings.Contains(err.Error(), "being stopped") {
			t.Errorf("who waited hears %v", err)
		}
	}
	if _, err := io.ReadAll(answer.Body); err != nil {
		t.Errorf("the stream ends with %v", err)
	}
	if n := waitingFor(t, c); n != 0 {
		t.Errorf("%d wait still", n)
	}
}

// TestPrivate: a source that is for the controller's own user is refused to others, administrators
// too.
func TestPrivate(t *testing.T) {
	e := engine(t)
	srv := httptest.NewServer(server.New(server.Options{
		Engine:   func() server.Engine { return whole(e) },
		Version:  "test",
		Identity: func() api.Identity { return api.Identity{Configuration: "here", Store: "there"} },
		Callers: server.Callers{Authenticate: func(r *http.Request) (auth.Principal, error) {
			p, err := authenticate(r)
			p.Own = p.Name == "me"
			return p, err
		}},
		Scope:     access.Scope{Private: func(source, _ string) bool { return source == "web" }},
		Lifecycle: server.Lifecycle{Ready: func(context.Context) error { return nil }},
	}))
	t.Cleanup(srv.Close)
	for _, name := range []string{"ann", "root"} {
		c := connect(t, srv.URL, name)
		if ls, err := c.Acquire(t.Context(), compute.Request{Source: "web", Count: 1}); !errors.Is(err, compute.ErrDenied) {
			t.Errorf("%s got %+v, %v", name, ls, err)
		}
		if self, err := c.Self(t.Context()); err != nil || self.Own || self.Configuration != "" || self.Store != "" {
			t.Errorf("%s is told %+v, %v", name, self, err)
		}
	}
	me := connect(t, srv.URL, "me")
	ls, err := me.Acquire(t.Context(), compute.Request{Source: "web", Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := connect(t, srv.URL, "root").Connect(
		t.Context(), compute.Who{Admin: true}, ls[0].Instance,
	); !errors.Is(err, compute.ErrDenied) {
		t.Errorf("an administrator who is another user is let in: %v, %v", conn, err)
	}
	if conn, err := me.Connect(t.Context(), compute.Who{}, ls[0].Instance); err != nil {
		t.Errorf("the own user is not let in: %v", err)
	} else {
		_ = conn.Close()
	}
	if self, err := me.Self(t.Context()); err != nil || !self.Own || self.Configuration != "here" || self.Store != "there" {
		t.Errorf("the own user is told %+v, %v", self, err)
	}
}

// TestWatch: events come once each and in order, also across a controller that goes and another on
// the same state.
func TestWatch(t *testing.T) {
	e := engine(t)
	opt := server.Options{
		Engine:    func() server.Engine { return whole(e) },
		Version:   "test",
		Identity:  func() api.Identity { return api.Identity{} },
		Callers:   server.Callers{Authenticate: authenticate},
		Lifecycle: server.Lifecycle{Ready: func(context.Context) error { return nil }},
	}
	srv := httptest.NewServer(server.New(opt))
	at := srv.Listener.Addr().String()
	c := connect(t, srv.URL, "ann")
	ctx, cancel := context.WithCancel(t.Context())
	var got []compute.Event
	seen := make(chan int64, 1000)
	done := make(chan error, 1)
	go func() {
		done <- c.Watch(ctx, inventory.EventQuery{}, func(e compute.Event) error {
			got = append(got, e)
			seen <- e.ID
			return nil
		})
	}()
	use := func(c *client.Client) {
		ls, err := c.Acquire(t.Context(), compute.Request{Source: "web", Count: 1})
		if err == nil {
			err = c.Release(t.Context(), compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, ls[0].Instance)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	use(c)
	<-seen
	srv.CloseClientConnections()
	srv.Close()
	// while nobody serves
	if _, err := e.Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Owner: "bob"}); err != nil {
		t.Fatal(err)
	}
	again := httptest.NewUnstartedServer(server.New(opt))
	l := listen(t, at)
	again.Listener.Close()
	again.Listener = l
	again.Start()
	defer again.Close()
	use(c)
	all, err := e.Events(t.Context(), inventory.EventQuery{})
	if err != nil {
		t.Fatal(err)
	}
	last := all[len(all)-1].ID
	for id := range seen {
		if id >= last {
			break
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch: %v", err)
	}
	if len(got) < len(all) {
		t.Errorf("%d of %d events came", len(got), len(all))
	}
	for i := range all {
		if i < len(got) && got[i].ID != all[i].ID {
			t.Fatalf("event %d is %d, want %d", i, got[i].ID, all[i].ID)
		}
	}
	stop := errors.New("enough")
	if err := c.Watch(t.Context(), inventory.EventQuery{}, func(compute.Event) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Watch: %v", err)
	}
}

// listen takes an address again that was free a moment ago.
func listen(t *testing.T, at string) (l net.Listener) {
	t.Helper()
	eventually(t, at+" is free", func() bool {
		var err error
		l, err = net.Listen("tcp", at)
		return err == nil
	})
	return l
}
