package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// fleet is some controllers of one machine on one store, each on a socket of its own.
type fleet struct {
	*machine
	all []*ship
}

// ship is one of them. It may be killed, and started again.
type ship struct {
	f      *fleet
	socket string
	log    string
	http   *http.Client

	mu  sync.Mutex
	cmd *exec.Cmd
}

func newFleet(t testing.TB, m *machine, n int) *fleet {
	t.Helper()
	f := &fleet{machine: m}
	for i := range n {
		s := &ship{f: f, socket: filepath.Join(m.dir, fmt.Sprint("s", i)), log: filepath.Join(m.dir, fmt.Sprint("log", i))}
		s.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DialContext: func(ctx context.Context, _,
			_ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", s.socket)
		}}}
		f.all = append(f.all, s)
		s.start()
		t.Cleanup(func() {
			s.http.CloseIdleConnections()
			s.stop()
			if t.Failed() {
				text, _ := os.ReadFile(s.log)
				t.Logf("controller %d:\n%s", i, text[max(0, len(text)-4000):])
			}
		})
	}
	for _, s := range f.all {
		s.await()
	}
	return f
}

func (s *ship) start() {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.f.t.Error(err)
		return
	}
	defer log.Close()
	cmd := s.f.command("serve", "--socket", s.socket)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		s.f.t.Error(err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd = cmd
}

// await waits until it answers.
func (s *ship) await() {
	s.f.t.Helper()
	for limit := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		status, _, err := s.ask(s.f.t.Context(), http.MethodGet, "/readyz", "", "")
		if err == nil && status == http.StatusOK {
			return
		}
		if time.Now().After(limit) {
			text, _ := os.ReadFile(s.log)
			s.f.t.Fatalf("no controller at %s: %d %v\n%s", s.socket, status, err, text)
		}
	}
}

// end ends it with a signal.
func (s *ship) end(sig syscall.Signal) {
	s.mu.Lock()
	cmd := s.cmd
	s.cmd = nil
	s.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Signal(sig)
		_ = cmd.Wait()
	}
}

func (s *ship) kill() { s.end(syscall.SIGKILL) }
func (s *ship) stop() { s.end(syscall.SIGTERM) }

// signal sends it one, as to pause it.
func (s *ship) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(sig)
	}
}

// ask makes one request.
func (s *ship) ask(ctx context.Context, method, path, key, body string) (status int, text []byte, err error) {
	var r *http.Request
	if r, err = http.NewRequestWithContext(ctx, method, "http://hostler"+path, strings.NewReader(body)); err != nil {
		return 0, nil, err
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := s.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err = io.ReadAll(answer.Body)
	return answer.StatusCode, text, err
}

// lease is what the tests read of one.
type lease struct {
	ID, Instance string
}

// acquire takes an instance, of this controller.
func (s *ship) acquire(ctx context.Context, key, body string) (l lease, status int, err error) {
	status, text, err := s.ask(ctx, http.MethodPost, "/v1/leases", key, body)
	if err == nil && status == http.StatusCreated {
		err = json.Unmarshal(text, &l)
	} else if err == nil {
		err = fmt.Errorf("%d %s", status, text)
	}
	return l, status, err
}

// events follows the journal from its first event on, at any controller that answers, until ctx
// ends. No event may be missing, or come twice. newest is the last one that it heard so far.
func (f *fleet) events(ctx context.Context, newest *atomic.Int64) (ids []int64, cuts int) {
	last := "0"
	for n := 0; ctx.Err() == nil; n++ {
		s := f.all[n%len(f.all)]
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://hostler/v1/events/watch", nil)
		if err != nil {
			f.t.Error(err)
			return
		}
		r.Header.Set("Last-Event-ID", last)
		answer, err := s.http.Do(r)
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, 1<<20)
		id := ""
		for lines.Scan() {
			line := lines.Bytes()
			if rest, ok := bytes.CutPrefix(line, []byte("id: ")); ok {
				id = string(rest)
			}
			if !bytes.HasPrefix(line, []byte("data: ")) || id == "" {
				continue
			}
			var e compute.Event
			if err := json.Unmarshal(line[6:], &e); err != nil {
				break // cut in the midst
			}
			if len(ids) > 0 && e.ID <= ids[len(ids)-1] {
				f.t.Errorf("event %d came after %d", e.ID, ids[len(ids)-1])
			}
			ids = append(ids, e.ID)
			newest.Store(e.ID)
			last, id = id, ""
		}
		_ = answer.Body.Close()
		cuts++
	}
	return ids, cuts - 1
}

// journal is all of it.
func (f *fleet) journal() []int64 {
	f.t.Helper()
	const page = 10_000
	ids := []int64{1} // without after it would be the newest
	for {
		status, text, err := f.all[0].ask(
			f.t.Context(), http.MethodGet, fmt.Sprintf("/v1/events?limit=%d&after=%d", page, ids[len(ids)-1]), "", "",
		)
		var doc struct{ Events []compute.Event }
		if err == nil {
			err = json.Unmarshal(text, &doc)
		}
		if err != nil || status != http.StatusOK {
			f.t.Fatalf("events: %d %v", status, err)
		}
		for _, e := range doc.Events {
			ids = append(ids, e.ID)
		}
		if len(doc.Events) < page {
			return ids
		}
	}
}

// computers lists the fake computers that are there of a source.
func (m *machine) computers(source string) (ids []string) {
	m.t.Helper()
	files, err := filepath.Glob(filepath.Join(m.state(), "instances", source, "computers", "*.computer.json"))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, f := range files {
		parts := strings.Split(strings.TrimSuffix(filepath.Base(f), ".computer.json"), ",")
		ids = append(ids, parts[len(parts)-1])
	}
	return ids
}

// instances are the records, by name, with their states.
func (f *fleet) instances() map[string]string { return f.all[0].instances() }

// instances are those that one controller tells of.
func (s *ship) instances() map[string]string {
	f := s.f
	f.t.Helper()
	status, text, err := s.ask(f.t.Context(), http.MethodGet, "/v1/instances?limit=100000", "", "")
	var doc struct {
		Instances []struct{ Name, State string }
	}
	if err == nil {
		err = json.Unmarshal(text, &doc)
	}
	if err != nil || status != http.StatusOK {
		f.t.Fatalf("instances: %d %v %s", status, err, text)
	}
	out := map[string]string{}
	for _, i := range doc.Instances {
		out[i.Name] = i.State
	}
	return out
}

// soon waits for what takes a while on a busy machine.
func soon(t testing.TB, what string, is func() bool) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%s: not in a minute", what)
		}
	}
}
