package apiprocess

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/hostler-project/hostler/controller/server"
	"github.com/hostler-project/hostler/controller/server/stream"
)

// send opens a connection and sends what is said.
func send(t *testing.T, at, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatalf("WriteString: %v", err)
	}
	return c
}

// head is a request without the end of its header.
func head(method, path string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n"
}

// status returns the status of an answer; 0: none came.
func status(c net.Conn) int {
	got, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	return got.StatusCode
}

// few has so many connections to the engine.
func few(sockets int) func(*Supervisor) { return func(f *Supervisor) { f.sockets = sockets } }

// quickly fails if something does not come before the time that a stalled request is given.
func quickly(t *testing.T, what string, at string) {
	t.Helper()
	begun := time.Now()
	if got := asks(at); got != http.StatusTeapot || time.Since(begun) > bodyTime*3/4 {
		t.Errorf("%s: got status %d after %v, want %d at once", what, got, time.Since(begun), http.StatusTeapot)
	}
}

// TestConnections: of strangers' connections so many are kept, and the next is closed.
func TestConnections(t *testing.T) {
	at := serve(t, &engine{}, few(1))
	var all []net.Conn
	for range minConns {
		c := send(t, at, head("GET", "/v1/leases")+"\r\n")
		if got := status(c); got != http.StatusTeapot {
			t.Fatalf("connection %d: got status %d, want %d", len(all)+1, got, http.StatusTeapot)
		}
		all = append(all, c)
	}
	if got := status(send(t, at, head("GET", "/v1/leases")+"\r\n")); got != 0 {
		t.Errorf("one more: got status %d, want it closed", got)
	}
	_ = all[0].Close()
	until(t, "place for another connection", func() bool { return asks(at) == http.StatusTeapot })
}

// TestBodiesAtOnce: of larger bodies so many bytes are held at once. Smaller ones do not wait.
func TestBodiesAtOnce(t *testing.T) {
	busy, free := make(chan struct{}, 1), make(chan struct{})
	at := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/v1/") && r.ContentLength > smallBody {
			busy <- struct{}{}
			<-free
		}
		if r.URL.Path != selfPath {
			w.WriteHeader(http.StatusTeapot)
		}
	}), func(f *Supervisor) { f.bodies = 100 << 10 })
	post := func(n int) int {
		body := `{"source":"` + strings.Repeat("a", n) + `"}`
		got, err := http.Post("http://"+at+"/v1/leases", "application/json", strings.NewReader(body))
		if err != nil {
			t.Errorf("Post: %v", err)
			return 0
		}
		_ = got.Body.Close()
		return got.StatusCode
	}
	first := make(chan int)
	go func() { first <- post(60 << 10) }()
	<-busy
	if got := post(60 << 10); got != http.StatusServiceUnavailable {
		t.Errorf("a second large body: got status %d, want %d", got, http.StatusServiceUnavailable)
	}
	if got := post(1 << 10); got != http.StatusTeapot {
		t.Errorf("a small body: got status %d, want %d", got, http.StatusTeapot)
	}
	close(free)
	if got := <-first; got != http.StatusTeapot {
		t.Errorf("the first: got status %d, want %d", got, http.StatusTeapot)
	}
	if got := post(60 << 10); got != http.StatusTeapot {
		t.Errorf("after the first: got status %d, want %d", got, http.StatusTeapot)
	}
}

// TestSlaposBodies: requests to a SlapOS master whose bodies do not come hold no connection to the
// engine, and a large one is read when its caller is known.
func TestSlaposBodies(t *testing.T) {
	e := &engine{}
	at := serve(t, e, few(2), func(f *Supervisor) { f.Slapos = true })
	for range 8 {
		send(t, at, head("POST", "/slapos/a")+"Content-Length: 10\r\n\r\n{")
	}
	quickly(t, "beside bodies that do not come", at)
	c := send(t, at, head("POST", "/slapos/a")+"Content-Length: 10\r\n\r\n0123456789")
	if got := status(c); got != http.StatusTeapot {
		t.Errorf("a small body: got status %d, want %d", got, http.StatusTeapot)
	}
	unknown := &engine{unknown: true}
	at = serve(t, unknown, func(f *Supervisor) { f.Slapos = true })
	c = send(t, at, head("POST", "/slapos/poison")+"Content-Length: 600000\r\n\r\npoison")
	if got := status(c); got != http.StatusUnauthorized {
		t.Errorf("a large body of somebody unknown: got status %d, want %d", got, http.StatusUnauthorized)
	}
	unknown.mu.Lock()
	defer unknown.mu.Unlock()
	if len(unknown.seen) != 1 || strings.Contains(unknown.seen[0], "\r\n\r\npoison") {
		t.Errorf("got %q, want a question without a body", unknown.seen)
	}
}

// TestUpgradeOfBodies: a body counts as any other where its request asks for another protocol, for
// each operation that reads one: it is not read before the engine has found its caller.
func TestUpgradeOfBodies(t *testing.T) {
	e := &engine{unknown: true}
	at := serve(t, e)
	_, kinds := server.Checked("test", func(http.ResponseWriter, *http.Request, []byte) {})
	all := kinds.Bodies()
	if len(all) < 10 {
		t.Errorf("got operations with bodies %v, want more", all)
	}
	for _, pattern := range all {
		method, path, _ := strings.Cut(pattern, " ")
		if path == loginPath {
			continue // it has places of its own
		}
		path = strings.NewReplacer("{", "", "}", "").Replace(path)
		c := send(t, at, head(method, path)+"Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 60000000\r\n\r\n[")
		if got := status(c); got != http.StatusUnauthorized {
			t.Errorf("%s: got status %d, want %d before the body", pattern, got, http.StatusUnauthorized)
		}
		_ = c.Close()
	}
}

// TestSlowReaders: answers that are not read hold but a part of the connections to the engine.
func TestSlowReaders(t *testing.T) {
	var long, most atomic.Int64
	at := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/sources" {
			w.Header().Set(server.RefusedHeader, "true")
			w.WriteHeader(http.StatusTeapot)
			return
		}
		n := long.Add(1)
		defer long.Add(-1)
		for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
		}
		piece := make([]byte, 1<<20)
		for r.Context().Err() == nil {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}), few(8))
	got := map[int]int{}
	var all []net.Conn
	for range 12 {
		all = append(all, send(t, at, head("GET", "/v1/sources")+"\r\n"))
		got[status(all[len(all)-1])]++
	}
	if got[http.StatusOK] != 4 || got[http.StatusServiceUnavailable] != 8 {
		t.Errorf("got %v, want 4 long answers of 8 connections, and 8 refusals", got)
	}
	quickly(t, "beside answers that are not read", at)
	for _, c := range all {
		_ = c.Close()
	}
	until(t, "long answer again", func() bool {
		c := send(t, at, head("GET", "/v1/sources")+"\r\n")
		defer c.Close()
		return status(c) == http.StatusOK
	})
}

// TestUpgraded: upgraded connections have but a part of the connections to the engine.
func TestUpgraded(t *testing.T) {
	at := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") == "":
			w.WriteHeader(http.StatusUnauthorized)
			return
		case r.URL.Path == selfPath:
			return
		case r.Header.Get("Upgrade") == "":
			w.WriteHeader(http.StatusTeapot)
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("Hijack: %v", err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(io.Discard, c) // until its caller goes
	}), few(8))
	const wants = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
	for range 8 { // strangers, and what upgrades nothing, hold none
		send(t, at, head("POST", "/v1/leases")+wants+"Content-Length: 100\r\n\r\n{")
		send(t, at, head("GET", "/v1/instances/a/connect")+wants+"Content-Length: 100\r\n\r\n{")
		if got := status(send(t, at, head("GET", "/v1/instances/a/connect")+wants+"\r\n")); got != http.StatusUnauthorized {
			t.Errorf("a stranger: got status %d, want %d", got, http.StatusUnauthorized)
		}
	}
	upgrade := head("GET", "/v1/instances/a/connect") + "Authorization: Bearer a\r\n" + wants + "\r\n"
	one := send(t, at, upgrade)
	got := map[int]int{status(one): 1}
	for range 5 {
		got[status(send(t, at, upgrade))]++
	}
	if got[http.StatusSwitchingProtocols] != 2 || got[http.StatusServiceUnavailable] != 4 {
		t.Errorf("got %v, want 2 of 8 connections upgraded, and 4 refusals", got)
	}
	if got := status(send(t, at, head("GET", "/v1/leases")+"Authorization: Bearer a\r\n\r\n")); got != http.StatusTeapot {
		t.Errorf("beside upgraded connections: got status %d, want %d", got, http.StatusTeapot)
	}
	_ = one.Close()
	until(t, "place for another", func() bool { return status(send(t, at, upgrade)) == http.StatusSwitchingProtocols })
}

// TestLast: the engine is told whether the end of a stream has gone out to its caller.
func TestLast(t *testing.T) {
	said, next := make(chan bool), make(chan struct{})
	at := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/events" {
			return
		}
		w.Header().Set("Content-Type", eventStream)
		s := stream.New(humago.NewContext(&huma.Operation{}, r, w))
		if !s.Event("", "first", "a") {
			t.Errorf("the first event was not sent")
		}
		<-next
		said <- s.Last("last", "b")
	}))
	ask := func() (net.Conn, *bufio.Reader) {
		c := send(t, at, head("GET", "/v1/events")+"Accept: text/event-stream\r\n\r\n")
		in := bufio.NewReader(c)
		got, err := http.ReadResponse(in, nil)
		if err != nil || got.Header.Get(deliveryHeader) != "" {
			t.Fatalf("got header %v and error %v, want a stream", got, err)
		}
		in = bufio.NewReader(got.Body)
		for line := ""; line != "\n"; {
			if line, err = in.ReadString('\n'); err != nil {
				t.Fatalf("the first event: %v", err)
			}
		}
		return c, in
	}
	c, in := ask()
	next <- struct{}{}
	if _, err := in.ReadString('b'); err != nil {
		t.Errorf("the last event: %v", err)
	}
	_, _ = in.ReadString('\n') // the end of the event's line
	_, _ = in.ReadByte()       // and of the event
	_ = c.Close()
	if !<-said {
		t.Errorf("a caller that has read all and hung up: got no receipt, want one")
	}
	c, _ = ask()
	process := apiProcess(t, os.Getpid()) // which does not see it at once
	if err := syscall.Kill(process, syscall.SIGSTOP); err != nil {
		t.Fatalf("SIGSTOP: %v", err)
	}
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		t.Errorf("SetLinger: %v", err)
	}
	_ = c.Close()
	next <- struct{}{}
	time.AfterFunc(100*time.Millisecond, func() { _ = syscall.Kill(process, syscall.SIGCONT) })
	begun := time.Now()
	got := <-said
	if took := time.Since(begun); took > stream.WriteTime/2 {
		t.Errorf("got the end of a caller that has hung up after %v, want it at once", took)
	}
	if got {
		t.Errorf("a caller that has hung up before: got a receipt, want none")
	}
}

// TestThreads has code in the API process start threads without end, as root's and as an ordinary
// user's: that process ends, and the user can start others.
func TestThreads(t *testing.T) {
	dir, err := os.MkdirTemp("", "front")
	if err != nil {
		t.Fatalf("MkdirTemp: %v", err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "engine")
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatalf("ReadFile: %v", err)
	}
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatalf("WriteFile: %v", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatalf("Chmod: %v", err)
	}
	users := map[string]int{"this user": os.Geteuid()}
	if os.Geteuid() == 0 {
		users["an ordinary user"] = 65534
	}
	for name, uid := range users {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(program, "engine", fmt.Sprint(maxThreads+maxSharedThreads*2))
			cmd.SysProcAttr, cmd.Dir = &syscall.SysProcAttr{}, "/"
			if uid != os.Geteuid() {
				cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
			}
			said, err := cmd.StderrPipe()
			if err != nil {
				t.Fatalf("StderrPipe: %v", err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatalf("Start: %v", err)
			}
			defer func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait() // it was killed
			}()
			var log bytes.Buffer
			end := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
			defer end.Stop()
			lines := bufio.NewScanner(io.TeeReader(said, &log))
			for lines.Scan() {
				// as Go says it, and as C does
				if text := lines.Text(); strings.Contains(text, "failed to create new OS thread") || strings.Contains(text, "pthread_create failed") {
					return
				}
			}
			t.Errorf("got no end of its threads: %s", log.Bytes()[:min(log.Len(), 2000)])
		})
	}
}
