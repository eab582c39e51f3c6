package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/auth"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/remote"
	"github.com/hostler-project/hostler/store/sqlite"
)

// controller is one for the examples, with a source web of at most two computers: its URL, and how
// it ends.
func controller() (url string, end func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	st, err := sqlite.Open(context.Background(), filepath.Join(dir, "state.db"), sqlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	p, err := pool.New(pool.Options{
		Store: st, NewID: uuid.NewString, Log: quiet, Sources: []pool.Source{{Name: "web", Type: "fake", Digest: "d", Maximum: 2}},
		Open: func(ctx context.Context, name, _ string, _ []byte) (compute.Provider, error) {
			return fake.Open(ctx, quiet, fake.Options{Source: name, Installation: st.Installation(), Exec: "exec"})
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	srv := httptest.NewServer(server.New(server.Options{
		Engine:   func() server.Engine { return server.Engine{Leaser: p, Book: p, Operator: p, Waiters: p, Slots: p} },
		Version:  "example",
		Identity: func() api.Identity { return api.Identity{} },
		Callers: server.Callers{Authenticate: func(r *http.Request) (auth.Principal, error) {
			if r.Header.Get("Authorization") != "Bearer secret" {
				return auth.Principal{}, &compute.Error{Kind: compute.ErrDenied, Err: errors.New("who are you?")}
			}
			return auth.Principal{Name: "ann", Everywhere: auth.Administrator, Roles: map[string]auth.Role{"": auth.User}}, nil
		}},
		Lifecycle: server.Lifecycle{
			Ready:  func(context.Context) error { return nil },
			Reload: func(context.Context) (api.Reloaded, error) { return api.Reloaded{}, nil },
		},
	}))
	return srv.URL, func() {
		srv.CloseClientConnections()
		srv.Close()
		_ = st.Close()
		_ = os.RemoveAll(dir)
	}
}

// Take an instance, use it, give it back.
func Example() {
	url, end := controller()
	defer end()
	ctx := context.Background()
	c, err := client.New(client.Options{URL: url, Token: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	leases, err := c.Acquire(ctx, compute.Request{Source: "web", Count: 1, Purpose: "an example"})
	if err != nil {
		log.Fatal(err)
	}
	l := leases[0]
	exit, err := c.Run(
		ctx, compute.Who{Lease: l.ID}, l.Instance,
		&compute.Command{Args: []string{"echo", "hello from", string(l.Instance)}, Stdout: os.Stdout},
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("status", exit.Status())
	if err := c.Release(ctx, compute.Who{Lease: l.ID}, compute.ReleaseOptions{}, l.Instance); err != nil {
		log.Fatal(err)
	}
	// Output:
	// hello from web-1
	// status 0
}

// What there is no room for is an error of its kind, across the wire too.
func ExampleClient_Acquire() {
	url, end := controller()
	defer end()
	c, err := client.New(client.Options{URL: url, Token: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	_, err = c.Acquire(context.Background(), compute.Request{Source: "web", Count: 3})
	fmt.Println(errors.Is(err, compute.ErrNoCapacity))
	_, err = c.Acquire(context.Background(), compute.Request{Source: "wbe", Count: 1})
	fmt.Println(errors.Is(err, compute.ErrNotFound))
	// Output:
	// true
	// true
}

// Files and trees go to instances and come back.
func ExampleClient_Copy() {
	url, end := controller()
	defer end()
	ctx := context.Background()
	c, err := client.New(client.Options{URL: url, Token: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	leases, err := c.Acquire(ctx, compute.Request{Source: "web", Count: 1})
	if err != nil {
		log.Fatal(err)
	}
	l := leases[0]
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	here, there := filepath.Join(dir, "here"), filepath.Join(dir, "there")
	if err := os.WriteFile(here, []byte("a line\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	who := compute.Who{Lease: l.ID}
	if err := c.Copy(
		ctx, who, client.Place{Path: here}, client.Place{Instance: l.Instance, Path: there}, remote.CopyOptions{},
	); err != nil {
		log.Fatal(err)
	}
	if err := c.Copy(
		ctx, who, client.Place{Instance: l.Instance, Path: there}, client.Place{Path: "-"},
		remote.CopyOptions{Stdout: os.Stdout},
	); err != nil {
		log.Fatal(err)
	}
	// Output: a line
}

// A port of this machine leads to one of the instance's.
func ExampleClient_Forward() {
	url, end := controller()
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	c, err := client.New(client.Options{URL: url, Token: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	leases, err := c.Acquire(ctx, compute.Request{Source: "web", Count: 1})
	if err != nil {
		log.Fatal(err)
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "served there") }))
	defer service.Close()
	listening, ended := make(chan net.Addr, 1), make(chan error, 1)
	spec := remote.ForwardSpec{ListenNetwork: "tcp", Listen: "127.0.0.1:0", DialNetwork: "tcp", Dial: service.Listener.Addr().String(),
		Listening: func(at net.Addr) { listening <- at }}
	go func() { ended <- c.Forward(ctx, compute.Who{Lease: leases[0].ID}, leases[0].Instance, spec, nil) }()
	answer, err := http.Get("http://" + (<-listening).String())
	if err != nil {
		log.Fatal(err)
	}
	text, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	fmt.Println(string(text))
	stop()
	fmt.Println(<-ended)
	// Output:
	// served there
	// context canceled
}

// The journal, from its beginning, and on as things happen.
func ExampleClient_Watch() {
	url, end := controller()
	defer end()
	ctx := context.Background()
	c, err := client.New(client.Options{URL: url, Token: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Acquire(ctx, compute.Request{Source: "web", Count: 1}); err != nil {
		log.Fatal(err)
	}
	seen := errors.New("seen enough")
	err = c.Watch(ctx, inventory.EventQuery{Source: "web"}, func(e compute.Event) error {
		if e.Kind == "leased" {
			fmt.Println(e.Kind, e.Instance)
			return seen
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// leased web-1
	// seen enough
}

// Lists are asked for by what one wants of them, and come page by page.
func ExampleClient_Instances() {
	url, end := controller()
	defer end()
	ctx := context.Background()
	c, err := client.New(client.Options{URL: url, Token: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Acquire(ctx, compute.Request{Source: "web", Count: 2}); err != nil {
		log.Fatal(err)
	}
	all, err := c.Instances(ctx, inventory.InstanceQuery{Source: "web", States: []compute.State{compute.Leased}})
	if err != nil {
		log.Fatal(err)
	}
	for _, i := range all {
		fmt.Println(i.ID, i.State)
	}
	// Output:
	// web-1 leased
	// web-2 leased
}
