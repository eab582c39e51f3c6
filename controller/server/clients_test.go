package server_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/controller/server"
	sockets "github.com/hostler-project/hostler/controller/server/connect"
)

// served is a server as a controller has it, with its limits, and its address.
func served(t *testing.T, e everything) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	handler := server.New(server.Options{
		Engine:   func() server.Engine { return whole(e) },
		Version:  "test",
		Identity: func() api.Identity { return api.Identity{} },
		Callers:  server.Callers{Authenticate: authenticate},
		Lifecycle: server.Lifecycle{
			Ready: func(context.Context) error { return nil }, Ending: ctx.Done(),
			Reload: func(context.Context) (api.Reloaded, error) { return api.Reloaded{}, nil },
		},
	})
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, &http.Server{Handler: handler}, l, time.Second) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return l.Addr().String()
}

func dial(t *testing.T, at string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

// works takes a lease and gives it back, as any other client.
func works(t *testing.T, at string) {
	t.Helper()
	c := connect(t, "http://"+at, "ann")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ls, err := c.Acquire(ctx, compute.Request{Source: "web", Count: 1, Wait: 30 * time.Second})
	if err == nil {
		err = c.Release(ctx, compute.Who{Owner: "ann"}, compute.ReleaseOptions{}, ls[0].Instance)
	}
	if err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

const preface = " HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ann\r\nContent-Type: application/json\r\n"

// TestSlowClients: those who send their headers or bodies a byte at a time are cut off, keep nobody
// from being served, and change nothing.
func TestSlowClients(t *testing.T) {
	p := engine(t)
	at := served(t, p)
	before := state(t, p)
	var all sync.WaitGroup
	var ended, refused atomic.Int32
	body := `{"source": "web", "purpose": "` + strings.Repeat("x", 3000) + `"}`
	for n := range 40 {
		all.Go(func() {
			c := dial(t, at)
			head := "POST /v1/leases" + preface
			if n%2 == 0 { // slow headers, which never end
				go func() {
					for _, err := io.WriteString(c, head); err == nil; _, err = io.WriteString(c, "X-A: b\r\n") {
						time.Sleep(100 * time.Millisecond)
					}
				}()
			} else {
				go func() {
					_, err := fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n", head, len(body))
					for i := 0; err == nil && i < len(body); i++ {
						_, err = io.WriteString(c, body[i:i+1])
						time.Sleep(50 * time.Millisecond)
					}
				}()
			}
			_ = c.SetReadDeadline(time.Now().Add(2 * time.Minute))
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err == nil {
				text, _ := io.ReadAll(answer.Body)
				if answer.StatusCode/100 != 4 ||
					n%2 == 1 && (answer.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(text), `"timeout"`)) {
					t.Errorf("a slow client is told %s %s", answer.Status, text)
				}
				refused.Add(1)
			} else if os.IsTimeout(err) {
				return // it is still let in
			}
			ended.Add(1)
		})
	}
	works(t, at)
	all.Wait()
	if ended.Load() != 40 || refused.Load() < 20 {
		t.Errorf("%d of 40 slow clients are cut off, %d of them told why", ended.Load(), refused.Load())
	}
	works(t, at)
	if after := state(t, p); strings.Count(after, "ann") != strings.Count(before, "ann") {
		t.Errorf("they changed something: %s", after)
	}
}

// TestBrokenClients: those who go away in the middle of anything leave nothing behind.
func TestBrokenClients(t *testing.T) {
	p := engine(t)
	at := served(t, p)
	works(t, at)
	ls, err := connect(t, "http://"+at, "ann").Acquire(t.Context(), compute.Request{Source: "web", Count: 1, Name: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	before := goroutines()
	reset := func(text string, read string) {
		t.Helper()
		c := dial(t, at)
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 0, 4096)
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		for read != "" && !bytes.Contains(got, []byte(read)) {
			part := make([]byte, 1024)
			n, err := c.Read(part)
			if got = append(got, part[:n]...); err != nil {
				t.Fatalf("%q: err = %v; want no error", got, err)
			}
		}
		_ = c.SetLinger(0) // a reset, and no end
		_ = c.Close()
	}
	for range 20 {
		reset("POST /v1/leases"+preface+"Content-Length: 500\r\n\r\n{\"source\":", "")
		reset("POST /v1/leases"+preface+"Transfer-Encoding: chunked\r\n\r\nff\r\n{\"source\":", "")
		reset("GET /v1/events/watch?after=0"+preface+"\r\n", "data: ")
		reset("GET /v1/instances/mine/connect"+preface+"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"+
			"Sec-WebSocket-Protocol: "+sockets.Subprotocol+"\r\n\r\n", "101 Switching")
		reset("GET /v1/inst", "")
		reset("\x16\x03\x01\x02\x00\x01\x00", "")
	}
	// Half a frame of a WebSocket, and one that lies about its length.
	for _, frame := range []string{"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00abc", "\xff\xff\xff", "\x82\x05hello"} {
		reset("GET /v1/instances/mine/connect"+preface+"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"+
			"Sec-WebSocket-Protocol: "+sockets.Subprotocol+"\r\n\r\n"+frame, "101 Switching")
	}
	works(t, at)
	// A command whose asker is gone ends.
	for limit := time.Now().Add(time.Minute); goroutines() > before+5; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(limit) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, and %d before\n%s", goroutines(), before, buf[:runtime.Stack(buf, true)])
		}
	}
	leases, err := p.Leases(t.Context(), inventory.LeaseQuery{})
	if err != nil || len(leases) != 1 || leases[0].ID != ls[0].ID {
		t.Errorf("leases: %v, %v", leases, err)
	}
}

// goroutines are those that serve; those of the test's own idle connections are not.
func goroutines() int {
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	return runtime.NumGoroutine()
}

// TestIdleConnections: ten thousand connections on which nothing happens cost little memory, and
// others are served.
func TestIdleConnections(t *testing.T) {
	count := 10_000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if most := (int(limit.Cur) - 500) / 2; most < count { // both ends are here
		t.Logf("only %d connections: this process may have %d files", most, limit.Cur)
		count = most
	}
	at := served(t, engine(t))
	works(t, at)
	used := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse + m.StackInuse)
	}
	before := used()
	conns := make([]net.Conn, 0, count)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for n := range count {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatalf("after %d: %v", n, err)
		}
		conns = append(conns, c)
		if n%2 == 0 { // one request, and then nothing; the others say nothing at all
			if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n, c := range conns {
		if n%2 == 0 {
			_ = c.SetReadDeadline(time.Now().Add(time.Minute))
			if _, err := c.Read(make([]byte, 512)); err != nil {
				t.Fatalf("connection %d: %v", n, err)
			}
		}
	}
	works(t, at)
	each := (used() - before) / int64(count)
	t.Logf("%d connections, %d bytes each", count, each)
	if each > 40<<10 {
		t.Errorf("an idle connection costs %d bytes", each)
	}
}

// TestBigBodies: too much is refused before it is read.
func TestBigBodies(t *testing.T) {
	p := engine(t)
	at := served(t, p)
	before := state(t, p)
	deep := strings.Repeat(`{"labels":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	for name, body := range map[string]string{
		"large": `{"source": "` + strings.Repeat("x", 64<<20) + `"}`, "deep": deep,
		"a deep list":   strings.Repeat("[", 1_000_000),
		"many keys":     "{" + strings.Repeat(`"a":1,`, 300_000) + `"b":1}`,
		"a long number": `{"source":"web","count":` + strings.Repeat("9", 500_000) + "}",
	} {
		for _, key := range []string{"", "Idempotency-Key: " + name[:4] + "\r\n"} {
			c := dial(t, at)
			go func() {
				_, _ = fmt.Fprintf(c, "POST /v1/leases%s%sContent-Length: %d\r\n\r\n", preface, key, len(body))
				_, _ = io.WriteString(c, body)
			}()
			_ = c.SetReadDeadline(time.Now().Add(time.Minute))
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Errorf("%s: err = %v; want no error", name, err)
				continue
			}
			text, _ := io.ReadAll(io.LimitReader(answer.Body, 100_000))
			if answer.StatusCode/100 != 4 || answer.Header.Get("Content-Type") != "application/problem+json" || len(text) > 5000 {
				t.Errorf("%s: %s %s, %d bytes: %.200s", name, answer.Status, answer.Header.Get("Content-Type"), len(text), text)
			}
			if name == "large" && answer.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("%s, %q: %s, and it is too large: %s", name, key, answer.Status, text)
			}
			_ = c.Close()
		}
	}
	c := dial(t, at)
	go func() {
		_, _ = io.WriteString(c, "GET /v1/leases HTTP/1.1\r\nHost: h\r\nX: "+strings.Repeat("y", 1<<20)+"\r\n\r\n")
	}()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if answer, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil &&
		answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("long headers: %s", answer.Status)
	}
	if after := state(t, p); after != before {
		t.Errorf("they changed something: %s", after)
	}
}
