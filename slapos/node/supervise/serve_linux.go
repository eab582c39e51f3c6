package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/text/exactjson"
)

const (
	maxBody = 8 << 20
	maxTail = 1 << 20
)

// Serve answers at a socket until ctx ends. A user that can write to the socket can run programs as
// any user that we can be, so it is for our own user alone.
func (s *Supervisor) Serve(ctx context.Context, socket string) error {
	// the directory of records is ours, so there is no listener
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := listen(socket)
	if err != nil {
		return &compute.Error{
			Op: "supervise.Serve", Kind: compute.ErrUnavailable, Err: err,
			Hint: "the path of a socket has at most 107 characters",
		}
	}
	srv := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if srv.Shutdown(end) != nil {
			_ = srv.Close()
		}
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

// listen makes a socket for our own user alone. The mask for that belongs to a thread, which is
// dropped afterwards: so programs that start meanwhile keep their own masks.
func listen(socket string) (l net.Listener, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good
		if err = unix.Unshare(unix.CLONE_FS); err != nil {
			return
		}
		unix.Umask(0o177)
		l, err = net.Listen("unix", socket)
	}()
	<-done
	return l, err
}

// Handler is what Serve answers with.
func (s *Supervisor) Handler() http.Handler {
	mux := http.NewServeMux()
	on := func(pattern string, f func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			out, err := f(r)
			if err != nil {
				problem := api.PlainProblem(err)
				w.Header().Set("Content-Type", api.ProblemType)
				w.WriteHeader(problem.Status)
				out = problem
			} else {
				w.Header().Set("Content-Type", "application/json")
			}
			_ = json.NewEncoder(w).Encode(out)
		})
	}
	asked := func(f func(ctx context.Context, q named) error) func(r *http.Request) (any, error) {
		return func(r *http.Request) (any, error) {
			var q named
			if err := decode(r, &q); err != nil {
				return nil, err
			}
			return struct{}{}, f(r.Context(), q)
		}
	}
	on("GET /v1/programs", func(r *http.Request) (any, error) {
		all, err := s.Status(r.Context(), r.URL.Query()["name"]...)
		if all == nil {
			all = []Status{}
		}
		return all, err
	})
	on("GET /v1/groups", func(r *http.Request) (any, error) { return s.Groups(r.Context()) })
	on("PUT /v1/groups/{name}", func(r *http.Request) (any, error) {
		var g Group
		if err := decode(r, &g); err != nil {
			return nil, err
		}
		g.Name = r.PathValue("name")
		changed, err := s.Put(r.Context(), g)
		return map[string]bool{"changed": changed}, err
	})
	on("DELETE /v1/groups/{name}", func(r *http.Request) (any, error) { return struct{}{}, s.Remove(r.Context(), r.PathValue("name")) })
	on("POST /v1/start", asked(func(ctx context.Context, q named) error { return s.Start(ctx, q.Names...) }))
	on("POST /v1/stop", asked(func(ctx context.Context, q named) error { return s.Stop(ctx, q.Names...) }))
	on("POST /v1/restart", asked(func(ctx context.Context, q named) error { return s.Restart(ctx, q.Names...) }))
	on("POST /v1/signal", asked(func(ctx context.Context, q named) error {
		sig := unix.SignalNum("SIG" + q.Signal)
		if sig == 0 {
			return &compute.Error{
				Op: "supervise.Signal", Kind: compute.ErrInvalid, Err: fmt.Errorf("there is no signal %q", q.Signal),
				Hint: "a name as HUP, INT, USR1",
			}
		}
		return s.Signal(ctx, sig, q.Names...)
	}))
	mux.HandleFunc("GET /v1/tail", s.tail)
	return mux
}

func decode(r *http.Request, v any) error {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = exactjson.Unmarshal(body, v)
	}
	if err != nil {
		return &compute.Error{Op: "supervise", Kind: compute.ErrInvalid, Err: fmt.Errorf("what was sent cannot be read: %w", err)}
	}
	return nil
}

// tail sends the end of a program's log and, to follow it, new output.
func (s *Supervisor) tail(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	n := int64(1600)
	_, _ = fmt.Sscan(q.Get("bytes"), &n)
	f, err := s.logOf(r.Context(), q.Get("name"))
	if err != nil {
		problem := api.PlainProblem(err)
		w.Header().Set("Content-Type", api.ProblemType)
		w.WriteHeader(problem.Status)
		_ = json.NewEncoder(w).Encode(problem)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	at := int64(0)
	if st, err := f.Stat(); err == nil {
		at = max(0, st.Size()-min(max(n, 0), maxTail))
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if st, err := f.Stat(); err == nil && st.Size() < at { // it was begun anew
			at = 0
		}
		sent, err := io.Copy(w, io.NewSectionReader(f, at, maxTail))
		at += sent
		if err != nil || q.Get("follow") == "" {
			return
		}
		if sent > 0 {
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// logOf opens the log of a program for reading.
func (s *Supervisor) logOf(ctx context.Context, name string) (f *os.File, err error) {
	err = s.call(ctx, "Tail", func() error {
		all, err := s.core.selectPrograms("Tail", []string{name})
		switch {
		case err != nil:
			return err
		case len(all) != 1:
			return &compute.Error{
				Op: "supervise.Tail", ID: compute.ID(name), Kind: compute.ErrInvalid,
				Err: fmt.Errorf("it is %d programs", len(all)), Hint: "name one as GROUP:NAME",
			}
		case all[0].Log == "":
			return &compute.Error{Op: "supervise.Tail", ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("it has no log")}
		}
		f, err = openOwn(&all[0].Program, all[0].Log, unix.O_RDONLY)
		if errors.Is(err, os.ErrNotExist) {
			return &compute.Error{
				Op: "supervise.Tail", ID: compute.ID(name), Kind: compute.ErrNotFound,
				Err: errors.New("it has written nothing yet"),
			}
		}
		return err
	})
	return f, err
}
