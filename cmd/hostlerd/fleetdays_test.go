package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/hostler-project/hostler/store/postgres/pgtest"
)

// onPostgres is a fleet on a database of its own.
func onPostgres(t *testing.T, n int, sources map[string]string) (*fleet, *pgtest.Server) {
	t.Helper()
	server := pgtest.Start(t)
	m := newMachine(t)
	m.onDatabase(server.Database(t))
	for name, text := range sources {
		m.source(name, text)
	}
	return newFleet(t, m, n), server
}

// directs tells whether a controller directs, by what it has logged.
func (s *ship) directs() bool {
	text, _ := os.ReadFile(s.log)
	got, lost := strings.LastIndex(string(text), "msg=directing"), strings.LastIndex(string(text), `msg="not directing any more"`)
	return got > lost
}

func (f *fleet) directors() (out []*ship) {
	for _, s := range f.all {
		if s.directs() {
			out = append(out, s)
		}
	}
	return out
}

// must acquire one.
func (s *ship) must(source string) lease {
	s.f.t.Helper()
	l, _, err := s.acquire(s.f.t.Context(), uuid.NewString(), fmt.Sprintf(`{"source": %q, "wait": 60}`, source))
	if err != nil {
		s.f.t.Fatal(err)
	}
	return l
}

func (s *ship) release(l lease) {
	s.f.t.Helper()
	if status, text, err := s.ask(
		s.f.t.Context(), http.MethodDelete, "/v1/leases/"+l.ID, "", "",
	); err != nil || status != http.StatusNoContent {
		s.f.t.Fatalf("release: %d %s %v", status, text, err)
	}
}

// TestFleetDirector: one of several directs; another does when it is killed, and when it is paused;
// who wakes from a pause does no harm.
func TestFleetDirector(t *testing.T) {
	f, _ := onPostgres(t, 3, map[string]string{"web": "type = fake\nreuse = no\nspare = 1\nmaximum = 3\n"})
	awake := f.all[0] // one that is asked
	ready := func(n int) func() bool {
		return func() bool {
			have := 0
			for _, state := range awake.instances() {
				if state == "ready" {
					have++
				}
			}
			return have == n
		}
	}
	soon(t, "one directs", func() bool { return len(f.directors()) == 1 })
	first := f.directors()[0]
	soon(t, "the spare one is made", ready(1))
	first.kill()
	var second *ship
	soon(t, "another directs", func() bool {
		for _, s := range f.directors() {
			if s != first {
				second = s
			}
		}
		return second != nil
	})
	if err := os.Remove(first.log); err != nil {
		t.Fatal(err)
	}
	first.start()
	first.await()
	held := first.must("web")
	soon(t, "another takes its place, by who directs now", ready(1))
	second.signal(syscall.SIGSTOP)
	var third *ship
	soon(t, "a third directs while it is paused", func() bool {
		for _, s := range f.directors() {
			if s != second {
				third = s
			}
		}
		return third != nil
	})
	awake = third
	third.release(held)
	soon(t, "what is wanted is there", ready(1))
	second.signal(syscall.SIGCONT)
	soon(t, "it finds that it does not direct", func() bool { return !second.directs() && len(f.directors()) == 1 })
	second.release(second.must("web"))
	soon(t, "all is as before", func() bool { return ready(1)() && len(awake.instances()) == 1 && len(f.computers("web")) == 1 })
}

// TestFleetWaits: a request that waits at one controller gets what is given back at another, and
// the reserve of a source that another directs.
func TestFleetWaits(t *testing.T) {
	f, _ := onPostgres(t, 2, map[string]string{"one": "type = fake\nmaximum = 1\nreuse = as-is\n"})
	l := f.all[0].must("one")
	for n := range 20 {
		got := make(chan lease, 1)
		go func() { got <- f.all[(n+1)%2].must("one") }()
		time.Sleep(time.Duration(n) * time.Millisecond)
		f.all[n%2].release(l)
		l = <-got
		if t.Failed() {
			return
		}
	}
}

// TestFleetKeys: a request with a key is answered the same by any controller, also while another
// still serves it, and after that was killed.
func TestFleetKeys(t *testing.T) {
	f, _ := onPostgres(
		t, 3,
		map[string]string{"slow": "type = fake\n[fake]\ncreate-time = 500ms\n", "web": "type = fake\nreserve = 2\nreuse = as-is\n"},
	)
	const body = `{"source": "slow", "count": 2}`
	same := func(what string, texts []string) {
		t.Helper()
		for _, text := range texts {
			if strings.TrimSpace(text) != strings.TrimSpace(texts[0]) {
				t.Errorf("%s: answered differently:\n%s\n%s", what, text, texts[0])
			}
		}
	}
	texts := make([]string, 6)
	var all sync.WaitGroup
	for n := range texts {
		all.Go(func() {
			status, text, err := f.all[n%3].ask(t.Context(), http.MethodPost, "/v1/leases", "at-once", body)
			if err != nil || status != http.StatusCreated {
				t.Errorf("status = %d text = %s err = %v; want no error and status == http.StatusCreated", status, text, err)
			}
			texts[n] = string(text)
		})
	}
	all.Wait()
	same("at once", texts)
	if n := len(f.computers("slow")); n != 2 {
		t.Errorf("%d computers were made", n)
	}
	if status, text, err := f.all[1].ask(
		t.Context(), http.MethodPost, "/v1/leases", "at-once", `{"source": "slow"}`,
	); err != nil || status != http.StatusConflict {
		t.Errorf("another request with the key: %d %s %v", status, text, err)
	}
	for n := range 4 {
		key := fmt.Sprint("killed", n)
		_, first, err := f.all[0].ask(t.Context(), http.MethodPost, "/v1/leases", key, `{"source": "web"}`)
		f.all[0].kill()
		if err != nil {
			t.Fatal(err)
		}
		_, second, err := f.all[1].ask(t.Context(), http.MethodPost, "/v1/leases", key, `{"source": "web"}`)
		if err != nil {
			t.Fatal(err)
		}
		same("after a kill", []string{string(first), string(second)})
		var l lease
		if err := json.Unmarshal(second, &l); err != nil {
			t.Fatal(err)
		}
		f.all[2].release(l)
		f.all[0].start()
		f.all[0].await()
	}
}

// TestFleetBadDays: the database is restarted, cut off, paused and crashes while clients take and
// give back. Controllers answer, if they cannot serve, that they cannot now and why; they go on by
// themselves, and nothing is lost or given twice.
func TestFleetBadDays(t *testing.T) {
	f, server := onPostgres(t, 2, proofSources)
	p := proof{operations: 400, clients: 8}
	v := &proving{proof: p, fleet: f, begin: time.Now()}
	var clients sync.WaitGroup
	for n := range p.clients {
		clients.Go(func() { v.client(n) })
	}
	ctx := t.Context()
	for _, day := range []struct {
		what string
		do   func() error
	}{
		{"its connections are cut", func() error { return server.Cut(ctx) }},
		{"it is restarted", func() error { return server.Restart(ctx) }},
		{"it is paused", func() error {
			if err := server.Pause(); err != nil {
				return err
			}
			time.Sleep(2 * time.Second) // the clients meet a database that does not answer
			return server.Resume()
		}},
		{"it crashes", func() error {
			if err := server.Kill(); err != nil {
				return err
			}
			time.Sleep(500 * time.Millisecond) // the clients meet a database that is not there
			return server.Start(ctx)
		}},
	} {
		before := v.done.Load()
		soon(t, "clients are at work", func() bool { return v.done.Load() > before+20 || v.done.Load() >= int64(p.operations) })
		if err := day.do(); err != nil {
			t.Fatalf("%s: err = %v; want no error", day.what, err)
		}
	}
	clients.Wait()
	if t.Failed() {
		return
	}
	v.check()
	v.inventory()

	// While it is not there, who asks is told so, and what to do.
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, s := range f.all {
		for _, path := range []string{"/v1/leases", "/v1/instances", "/readyz"} {
			method, body := http.MethodGet, ""
			if path == "/v1/leases" {
				method, body = http.MethodPost, `{"source": "many"}`
			}
			status, text, err := s.ask(ctx, method, path, "", body)
			if err != nil || status != http.StatusServiceUnavailable {
				t.Errorf(
					"%s: status = %d text = %s err = %v"+
						"; want no error and status == http.StatusServiceUnavailable",
					path, status, text, err,
				)
			}
			var problem struct{ Code, Detail, Hint string }
			if err := json.Unmarshal(text, &problem); err != nil || problem.Code != "unavailable" || problem.Detail == "" {
				t.Errorf(`%s: text = %s; want no error and problem.Code == "unavailable" and problem.Detail != ""`, path, text)
			}
			if path != "/readyz" && !strings.Contains(problem.Hint, "PostgreSQL") {
				t.Errorf("%s: no word of PostgreSQL in %s", path, text)
			}
		}
	}
	if err := server.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for _, s := range f.all {
		s.await()
		s.release(s.must("many"))
	}
}
