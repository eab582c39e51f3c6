package apiprocess

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	return sends(t, c, text)
}

// sends sends what is said by a connection.
func sends(t *testing.T, c net.Conn, text string) net.Conn {
	t.Helper()
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

// elsewhere is send from another network.
func elsewhere(t *testing.T, at, text string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp", at)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	return sends(t, c, text)
}

// TestConnections: of strangers' connections a network has half, and another its part too.
func TestConnections(t *testing.T) {
	at := serve(t, &engine{}, few(1))
	var all []net.Conn
	for range minConns { // one makes room until its request has been read
		all = append(all, send(t, at, head("POST", "/v1/leases")+"Content-Length: 10\r\n\r\n{"))
	}
	ask := head("GET", "/v1/leases") + "\r\n"
	if got := status(send(t, at, ask)); got != 0 {
		t.Errorf("one more: got status %d, want it closed", got)
	}
	if got := status(elsewhere(t, at, ask)); got != http.StatusTeapot {
		t.Errorf("from another network: got status %d, want %d", got, http.StatusTeapot)
	}
	for _, c := range all {
		_ = c.Close()
	}
	until(t, "place for another connection", func() bool { return asks(at) == http.StatusTeapot })
}

// TestIdleConnections: where a network has all of its places, the connection that has been idle
// longest makes room for another.
func TestIdleConnections(t *testing.T) {
	at := serve(t, &engine{}, few(1))
	ask := head("GET", "/v1/leases") + "\r\n"
	var all []net.Conn
	for range minConns/2 + 1 {
		c := send(t, at, ask)
		if got := status(c); got != http.StatusTeapot {
			t.Fatalf("connection %d: got status %d, want %d", len(all)+1, got, http.StatusTeapot)
		}
		all = append(all, c)
	}
	until(t, "end of one of the longest idle", func() bool {
		return slices.ContainsFunc(all[:minConns/4], func(c net.Conn) bool {
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := c.Read(make([]byte, 1))
			return err != nil && !os.IsTimeout(err)
		})
	})
	for _, c := range all[minConns/4:] {
		if got := status(sends(t, c, ask)); got != http.StatusTeapot {
			t.Errorf("another: got status %d, want %d", got, http.StatusTeapot)
		}
	}
}

// TestRequests: of the requests that are served a network has half, and another its part too.
// Health is told in any case, and no refusal waits for its reader.
func TestRequests(t *testing.T) {
	f := newRelay(setup{Version: "test", Sockets: 1}, func() (net.Conn, error) { select {} })
	ask := func(from, path string) *httptest.ResponseRecorder {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
		r.RemoteAddr, r.ProtoMajor = from+":1", 2
		w := httptest.NewRecorder()
		defer func() { _ = recover() }() // the caller has hung up
		f.ServeHTTP(w, r)
		return w
	}
	for range minConns / 2 {
		if _, ok := f.requests.Take("192.0.2.1", 1); !ok {
			t.Fatal("got less than half of the requests")
		}
	}
	if w := ask("192.0.2.1", "/v1/leases"); w == nil || w.Code != http.StatusServiceUnavailable || w.Body.Len() > 0 {
		t.Errorf("got %v, want a refusal without a body", w)
	}
	if w := ask("192.0.2.1", "/healthz"); w == nil || w.Code != http.StatusOK {
		t.Errorf("health: got %v, want status %d", w, http.StatusOK)
	}
	if w := ask("192.0.2.2", "/v1/leases"); w != nil {
		t.Errorf("from another network: got %v, want it to be served", w)
	}
}

// TestDescriptions: what anybody may read slowly holds but a part, of which a network has half, and
// what there is no room for is refused at once.
func TestDescriptions(t *testing.T) {
	at := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/openapi.json" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		for piece := make([]byte, 1<<20); r.Context().Err() == nil; {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}), few(32))
	ask := head("GET", "/openapi.json") + "\r\n"
	first, second, other := status(send(t, at, ask)), status(send(t, at, ask)), status(elsewhere(t, at, ask))
	if first != http.StatusOK || second != http.StatusServiceUnavailable || other != http.StatusOK {
		t.Errorf("got status %d, %d, and %d from another network, want the second refused", first, second, other)
	}
	quickly(t, "beside descriptions that are not read", at)
}

// TestWaiting: requests that wait hold but a part of the connections to the engine, of which a
// caller has half.
func TestWaiting(t *testing.T) {
	at := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			<-r.Context().Done()
		}
		w.WriteHeader(http.StatusTeapot)
	}), few(8))
	got := make(chan int)
	wait := func(who string) {
		body := `{"source":"a","wait":600}`
		more := fmt.Sprintf("Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", who, len(body), body)
		c := send(t, at, head("POST", "/v1/leases")+more)
		go func() { got <- status(c) }()
	}
	for range 4 {
		wait("a")
	}
	for range 2 {
		if n := <-got; n != http.StatusServiceUnavailable {
			t.Errorf("got status %d, want %d", n, http.StatusServiceUnavailable)
		}
	}
	wait("b")
	select {
	case n := <-got:
		t.Errorf("got status %d, want two requests of one caller that wait, and one of another", n)
	case <-time.After(time.Second):
	}
	quickly(t, "beside requests that wait", at)
}

// TestProbedAside: the engine's own question is answered where all connections to it are used.
func TestProbedAside(t *testing.T) {
	begun := make(chan struct{}, 1)
	at := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/leases" {
			begun <- struct{}{}
			<-r.Context().Done()
		}
	}), few(1), func(f *Supervisor) { f.probing = probing{every: 20 * time.Millisecond, time: 500 * time.Millisecond} })
	process := apiProcess(t, os.Getpid())
	send(t, at, head("GET", "/v1/leases")+"\r\n")
	<-begun
	time.Sleep(2 * time.Second) // four times as long as a process may be without an answer
	if now := apiProcess(t, os.Getpid()); now != process {
		t.Errorf("got process %d, want still %d", now, process)
	}
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

// TestSlaposUploads: of the bodies that are passed on as they come a caller has half, and another
// its part too.
func TestSlaposUploads(t *testing.T) {
	at := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !server.IsRefused(r) {
			_, _ = io.Copy(io.Discard, r.Body)
		}
	}), few(64), func(f *Supervisor) { f.Slapos = true })
	got := make(chan int, 8)
	post := func(who string) {
		c := send(t, at, head("POST", "/slapos/a")+"Authorization: Bearer "+who+"\r\nContent-Length: 900000\r\n\r\n{")
		go func() { got <- status(c) }()
	}
	for range 3 {
		post("a")
	}
	if n := <-got; n != http.StatusServiceUnavailable {
		t.Errorf("a third of one caller: got status %d, want %d", n, http.StatusServiceUnavailable)
	}
	post("b")
	select {
	case n := <-got:
		t.Errorf("got status %d, want another caller's to be read", n)
	case <-time.After(bodyTime / 4):
	}
}

// TestTimeOfBody: the more of a body has come, the faster it has to be.
func TestTimeOfBody(t *testing.T) {
	for n, want := range map[int64]time.Duration{
		0: 5 * time.Second, 10 << 10: 15 * time.Second, 32 << 10: 37 * time.Second, 1 << 20: 99 * time.Second, 65 << 20: 1123 * time.Second,
	} {
		if got := timeOfBody(n); got != want {
			t.Errorf("after %d bytes: got %v, want %v", n, got, want)
		}
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
	ask := func(who string) {
		all = append(all, send(t, at, head("GET", "/v1/sources")+"Authorization: Bearer "+who+"\r\n\r\n"))
		got[status(all[len(all)-1])]++
	}
	for range 6 {
		ask("a")
	}
	if got[http.StatusOK] != 2 || got[http.StatusServiceUnavailable] != 4 {
		t.Errorf("got %v, want 2 long answers of one caller by 8 connections, and 4 refusals", got)
	}
	for _, who := range []string{"b", "c", "d", "e", "f", "g"} {
		ask(who)
	}
	if got[http.StatusOK] != 4 || got[http.StatusServiceUnavailable] != 8 {
		t.Errorf("got %v, want 4 long answers by 8 connections, and 8 refusals", got)
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
	for _, who := range []string{"a", "b", "a", "b", "c"} {
		got[status(send(t, at, strings.Replace(upgrade, "Bearer a", "Bearer "+who, 1)))]++
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
