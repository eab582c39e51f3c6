package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/host/socket"
)

// TestServeKilled: a controller that is killed at once after it has answered, and the one after it,
// answer a request with a key the same.
func TestServeKilled(t *testing.T) {
	m := newMachine(t)
	m.source("web", "type = fake\n")
	dir, env := m.dir, m.env
	socket := filepath.Join(dir, "run", "hostler", socket.SocketName)
	begin := func() (kill func()) {
		cmd := exec.Command("hostler", "serve")
		cmd.Env, cmd.Dir = env, dir
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	post := func(key, body string) (status int, text string) {
		tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}
		defer tr.CloseIdleConnections()
		for limit := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://hostler/v1/leases", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Idempotency-Key", key)
			r.Header.Set("Content-Type", "application/json")
			answer, err := tr.RoundTrip(r)
			if err != nil && time.Now().Before(limit) {
				continue // it is not there yet
			}
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			b, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			return answer.StatusCode, string(b)
		}
	}
	const body = `{"source": "web"}`
	// before and after the answer was written behind its back, as a rule
	for _, rest := range []time.Duration{0, 300 * time.Millisecond} {
		key := rest.String()
		kill := begin()
		status, first := post(key, body)
		time.Sleep(rest)
		kill()
		if status != http.StatusCreated {
			t.Fatalf("status = %d first = %s; want status == http.StatusCreated", status, first)
		}
		kill = begin()
		if status, again := post(key, body); status != http.StatusCreated || strings.TrimSpace(again) != strings.TrimSpace(first) {
			t.Errorf("%d %s\nand before %s", status, again, first)
		}
		if status, other := post(key, `{"source": "web", "ttl": 5}`); status != http.StatusConflict {
			t.Errorf("another request: %d %s", status, other)
		}
		kill()
	}
}
