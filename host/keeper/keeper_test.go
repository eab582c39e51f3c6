package keeper_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/keeper"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/remote/agent"
)

// serve runs a keeper in this process until the test ends.
func serve(t testing.TB, opt keeper.Options) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- keeper.Serve(ctx, opt) }()
	soon(t, "it listens", func() bool { _, err := keeper.Ask(ctx, opt.Socket); return err == nil })
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { stop() })
	return stop
}

func TestGenerationMovesOn(t *testing.T) {
	dir := place(t)
	opt := options(dir, "", time.Minute)
	serve(t, opt)
	req := request("")
	req.Generation = 1
	c, err := keeper.Dial(t.Context(), opt.Socket, req)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	output(t, c, "true")
	ran := make(chan error, 1)
	go func() { _, err := c.Run(t.Context(), &compute.Command{Args: []string{"sleep", "100"}}); ran <- err }()

	lease(t, dir, "a-1", 2)
	if _, err := keeper.Dial(t.Context(), opt.Socket, req); !errors.Is(err, compute.ErrStale) {
		t.Errorf("with the old generation: %v", err)
	}
	soon(t, "the old connection is closed", func() bool { return lines(dir, "closed") == 1 })
	if err := <-ran; !errors.Is(err, compute.ErrLost) {
		t.Errorf("what ran under the old lease: %v", err)
	}
	req.Generation = 2
	c2, err := keeper.Dial(t.Context(), opt.Socket, req)
	if err != nil {
		t.Fatal(err)
	}
	defer c2.Close()
	output(t, c2, "true")

	lease(t, dir, "a-1", 0) // released: the bell is enough
	if err := keeper.Ring(t.Context(), opt.Socket, ""); err != nil {
		t.Fatal(err)
	}
	soon(t, "that is closed too", func() bool { return lines(dir, "closed") == 2 })
	if _, err := keeper.Dial(t.Context(), opt.Socket, request("")); !errors.Is(err, compute.ErrNotLeased) {
		t.Errorf("after the release: %v", err)
	}
	if st := status(t, dir); len(st.Kept) != 0 {
		t.Errorf("kept: %+v", st.Kept)
	}
}

func TestRefusals(t *testing.T) {
	dir := place(t)
	opt := options(dir, "", time.Minute)
	serve(t, opt)
	req := request("")
	req.Who.Owner = "you"
	_, err := keeper.Dial(t.Context(), opt.Socket, req)
	if !errors.Is(err, compute.ErrDenied) || compute.Hint(err) != "ask me" {
		t.Errorf("another's: %v, hint %q", err, compute.Hint(err))
	}
	lease(t, dir, "bad-1", 1)
	req = request("")
	req.Instance = "bad-1"
	for range 2 {
		_, err = keeper.Dial(t.Context(), opt.Socket, req)
		var e *compute.Error
		if !errors.Is(err, compute.ErrNotReady) || !errors.As(err, &e) || e.ID != "bad-1" || e.Hint != "wait" {
			t.Errorf("one that cannot be opened: %v", err)
		}
	}
	if n := lines(dir, "opened"); n != 2 {
		t.Errorf("%d tries to open: an error was kept", n)
	}
}

func TestUnusedConnectionsAreClosed(t *testing.T) {
	dir := place(t)
	lease(t, dir, "a-2", 1)
	opt := options(dir, "", 300*time.Millisecond)
	opt.Due = nil
	serve(t, opt)
	c, err := keeper.Dial(t.Context(), opt.Socket, request("")) // stays
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	req := request("")
	req.Instance = "a-2"
	c2, err := keeper.Dial(t.Context(), opt.Socket, req)
	if err != nil {
		t.Fatal(err)
	}
	c2.Close()
	soon(t, "the unused one is closed", func() bool { return lines(dir, "closed") == 1 })
	if st := status(t, dir); len(st.Kept) != 1 || st.Kept[0].Instance != "a-1" || st.Kept[0].Users != 1 {
		t.Errorf("kept: %+v", st.Kept)
	}
	output(t, c, "true")
}

// lostConn loses contact at once.
type lostConn struct{ compute.Conn }

func (lostConn) Run(context.Context, *compute.Command) (compute.Exit, error) {
	return compute.Exit{}, &compute.Error{Kind: compute.ErrLost}
}
func (lostConn) Close() error { return nil }

func TestBrokenConnectionIsNotSharedOn(t *testing.T) {
	dir := place(t)
	opt := options(dir, "", time.Minute)
	opened := 0
	open := opt.Open
	opt.Open = func(ctx context.Context, key keeper.Key, who compute.Who) (compute.Conn, error) {
		if opened++; opened == 1 {
			return lostConn{}, nil
		}
		return open(ctx, key, who)
	}
	serve(t, opt)
	c, err := keeper.Dial(t.Context(), opt.Socket, request(""))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Run(t.Context(), &compute.Command{Args: []string{"true"}}); !errors.Is(err, compute.ErrLost) {
		t.Errorf("got %v", err)
	}
	c2, err := keeper.Dial(t.Context(), opt.Socket, request(""))
	if err != nil {
		t.Fatal(err)
	}
	defer c2.Close()
	output(t, c2, "true")
}

// A client that goes away while its connection is being opened ends that, if nobody else waits for
// it.
func TestClientGoesWhileOpening(t *testing.T) {
	before := goleak.IgnoreCurrent()
	dir := place(t)
	opt := options(dir, "", time.Minute)
	opening, ended := make(chan bool, 1), make(chan error, 1)
	opt.Open = func(ctx context.Context, key keeper.Key, who compute.Who) (compute.Conn, error) {
		opening <- true
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	stop := serve(t, opt)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-opening; cancel() }()
	if _, err := keeper.Dial(ctx, opt.Socket, request("")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-ended
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Serve: %v", err)
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

// A keeper that needs long says so; one that hangs is found out.
func TestSlowAndSilentKeepers(t *testing.T) {
	if testing.Short() {
		t.Skip("slow and silent keepers: takes 12 s, -short")
	}
	dir := place(t)
	opt := options(dir, "", time.Minute)
	open := opt.Open
	opt.Open = func(ctx context.Context, key keeper.Key, who compute.Who) (compute.Conn, error) {
		time.Sleep(12 * time.Second) // longer than a client waits for a word
		return open(ctx, key, who)
	}
	serve(t, opt)
	silent := filepath.Join(dir, "run", "silent")
	l, err := net.Listen("unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := keeper.Dial(t.Context(), silent, request("")); !errors.Is(err, compute.ErrTimeout) {
			t.Errorf("a silent one: %v", err)
		}
	})
	c, err := keeper.Dial(t.Context(), opt.Socket, request(""))
	if err != nil {
		t.Fatalf("a slow one: %v", err)
	}
	defer c.Close()
	output(t, c, "true")
	wg.Wait()
}

// doneConn says of itself that it has ended.
type doneConn struct {
	compute.Conn
	done chan struct{}
}

func (d doneConn) Done() <-chan struct{} { return d.done }

// sickConn says of itself whether it is well.
type sickConn struct {
	compute.Conn
	asked int
	sick  bool
}

func (s *sickConn) Healthy(context.Context) error {
	if s.asked++; s.sick {
		return &compute.Error{Kind: compute.ErrLost}
	}
	return nil
}

func TestRestedConnectionIsAsked(t *testing.T) {
	dir := place(t)
	opt := options(dir, "", time.Minute)
	opt.Rest = 50 * time.Millisecond
	open := opt.Open
	var conns []*sickConn
	opt.Open = func(ctx context.Context, key keeper.Key, who compute.Who) (compute.Conn, error) {
		c, err := open(ctx, key, who)
		conns = append(conns, &sickConn{Conn: c})
		return conns[len(conns)-1], err
	}
	serve(t, opt)
	for i := range 4 {
		c, err := keeper.Dial(t.Context(), opt.Socket, request(""))
		if err != nil {
			t.Fatal(err)
		}
		output(t, c, "true")
		c.Close()
		soon(t, "it is given back", func() bool { st := status(t, dir); return len(st.Kept) == 1 && st.Kept[0].Users == 0 })
		time.Sleep(2 * opt.Rest) // since then
		if i == 1 {
			conns[0].sick = true
		}
	}
	if len(conns) != 2 || conns[0].asked != 2 || conns[1].asked != 1 {
		t.Errorf("%d were opened, the first was asked %d times", len(conns), conns[0].asked)
	}
	soon(t, "the sick one is closed", func() bool { return lines(dir, "closed") == 1 })
}

func TestEndedConnectionIsNotGivenOut(t *testing.T) {
	dir := place(t)
	opt := options(dir, "", time.Minute)
	open := opt.Open
	done := make(chan struct{})
	next := done
	opt.Open = func(ctx context.Context, key keeper.Key, who compute.Who) (compute.Conn, error) {
		c, err := open(ctx, key, who)
		own := next
		next = make(chan struct{})
		return doneConn{c, own}, err
	}
	serve(t, opt)
	for i := range 3 {
		c, err := keeper.Dial(t.Context(), opt.Socket, request(""))
		if err != nil {
			t.Fatal(err)
		}
		output(t, c, "true")
		c.Close()
		if i == 1 {
			if n := lines(dir, "opened"); n != 1 {
				t.Errorf("%d were opened for two uses", n)
			}
			close(done)
		}
	}
	if n := lines(dir, "opened"); n != 2 {
		t.Errorf("%d were opened", n)
	}
}

// TestIdleHearsTheEnd: a client that has nothing running hears that the connection has ended that
// he was given; what runs at that moment ends by itself, and with its own word.
func TestIdleHearsTheEnd(t *testing.T) {
	dir := place(t)
	opt := options(dir, "", time.Minute)
	open := opt.Open
	done := make(chan struct{})
	opt.Open = func(ctx context.Context, key keeper.Key, who compute.Who) (compute.Conn, error) {
		c, err := open(ctx, key, who)
		return doneConn{c, done}, err
	}
	serve(t, opt)
	var clients []*agent.Client
	for range 2 {
		c, err := keeper.Dial(t.Context(), opt.Socket, request(""))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		way, ok := c.(*agent.Client)
		if !ok {
			t.Fatalf("it is a %T", c)
		}
		if err := way.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, way)
	}
	go func() {
		<-clients[0].Done()
		_ = os.WriteFile(filepath.Join(dir, "heard"), nil, 0o600)
	}()
	go func() {
		for lines(dir, "runs") == 0 {
			time.Sleep(time.Millisecond)
		}
		close(done)
	}()
	script := "echo >>" + filepath.Join(dir, "runs") + "; until [ -e " + filepath.Join(dir, "heard") + " ]; do sleep 0.01; done; exit 7"
	exit, err := clients[1].Run(t.Context(), &compute.Command{Args: []string{"sh", "-c", script}})
	if err != nil || exit.Code != 7 {
		t.Errorf("what ran: %v, %v", exit, err)
	}
	<-clients[1].Done()
}

func TestForwarding(t *testing.T) {
	dir := place(t)
	opt := options(dir, "", time.Minute)
	serve(t, opt)
	c, err := keeper.Dial(t.Context(), opt.Socket, request(""))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if nc, err := l.Accept(); err == nil {
			nc.Write([]byte("hi"))
			nc.Close()
		}
	}()
	d, ok := provider.As[provider.Dialer](c)
	if !ok {
		t.Fatal("no Dialer")
	}
	nc, err := d.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	p := make([]byte, 2)
	if _, err := nc.Read(p); err != nil || string(p) != "hi" {
		t.Errorf(`p = %q err = %v; want no error and string(p) == "hi"`, p, err)
	}
}

func TestDirectoryOfOthers(t *testing.T) {
	dir := place(t)
	run := filepath.Join(dir, "run")
	opt := options(dir, "", time.Minute)
	for name, prepare := range map[string]func(){
		"open to others": func() { os.Mkdir(run, 0o755); os.Chmod(run, 0o755) },
		"a link":         func() { os.Mkdir(run+"2", 0o700); os.Symlink(run+"2", run) },
		"a file":         func() { os.WriteFile(run, nil, 0o600) },
		"another user's": func() {
			if os.Geteuid() != 0 {
				t.Skip("another user's: needs root")
			}
			os.Mkdir(run, 0o700)
			os.Chown(run, 65534, 65534)
		},
	} {
		t.Run(name, func(t *testing.T) {
			os.RemoveAll(run)
			defer os.RemoveAll(run)
			prepare()
			if err := keeper.Serve(t.Context(), opt); !errors.Is(err, compute.ErrDenied) || compute.Hint(err) == "" {
				t.Errorf("Serve: %v", err)
			}
			if _, err := keeper.Dial(t.Context(), opt.Socket, request("")); !errors.Is(err, compute.ErrDenied) {
				t.Errorf("Dial: %v", err)
			}
		})
	}
	opt.Socket = "/tmp/" + string(make([]byte, 120))
	if err := keeper.Serve(t.Context(), opt); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("a long name: %v", err)
	}
}

func TestSecondKeeperEndsQuietly(t *testing.T) {
	dir := place(t)
	opt := options(dir, "", time.Minute)
	stop := serve(t, opt)
	if err := keeper.Serve(t.Context(), opt); err != nil {
		t.Errorf("the second: %v", err)
	}
	if _, err := keeper.Ask(t.Context(), opt.Socket); err != nil {
		t.Errorf("the first was hurt: %v", err)
	}
	stop()
	if _, err := os.Stat(opt.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it left its socket: %v", err)
	}
}

func BenchmarkDialAndRun(b *testing.B) {
	dir := place(b)
	opt := options(dir, "", time.Minute)
	opt.Log = nil
	serve(b, opt)
	for name, args := range map[string][]string{"dial": nil, "true": {"true"}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c, err := keeper.Dial(b.Context(), opt.Socket, request(""))
				if err != nil {
					b.Fatal(err)
				}
				if args != nil {
					if _, err := c.Run(b.Context(), &compute.Command{Args: args}); err != nil {
						b.Fatal(err)
					}
				}
				c.Close()
			}
		})
	}
}

// TestOneWorkHangsAndTheOthersGoOn: work that hangs keeps the keeper from ending, and not from
// looking for other work.
func TestOneWorkHangsAndTheOthersGoOn(t *testing.T) {
	dir := place(t)
	opt := options(dir, "", 100*time.Millisecond)
	hangs, looks := make(chan struct{}), make(chan struct{}, 10)
	opt.Due = func(_ context.Context, run func(func()), again func()) (time.Time, error) {
		note(dir, "due", "")
		switch lines(dir, "due") {
		case 1:
			run(func() { <-hangs })
		case 2:
			run(again) // this one is done, and has made more to do
		}
		looks <- struct{}{}
		return time.Time{}, nil
	}
	ended := make(chan error, 1)
	go func() { ended <- keeper.Serve(t.Context(), opt) }()
	await := func(what string) {
		select {
		case <-looks:
		case <-time.After(time.Minute):
			t.Fatal("it does not look " + what)
		}
	}
	await("when it begins")
	if err := keeper.Wake(t.Context(), keeper.StartOptions{Socket: opt.Socket}, ""); err != nil {
		t.Fatal(err)
	}
	await("when the bell is rung")
	await("when something was done")
	if st := status(t, dir); !st.Busy {
		t.Errorf("nothing is done: %+v", st)
	}
	close(hangs)
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("it does not end")
	}
}
