package apiprocess

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/controller/server"
)

// TestMain is the API process too, which runs what its engine asks for before it serves.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == Subcommand {
		started, bodyRoomTime, patience = attack, 300*time.Millisecond, 300*time.Millisecond
		os.Exit(Main())
	}
	if len(os.Args) == 3 && os.Args[1] == "engine" {
		beEngine()
	}
	os.Exit(m.Run())
}

// beEngine is an engine of its own, which says where its API process serves and waits to be killed.
// Code in that starts so many threads as the next argument says.
func beEngine() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	e := &engine{attacked: make(chan tried, 1)}
	if n, _ := strconv.Atoi(os.Args[2]); n > 0 {
		e.target = &target{Threads: n}
	}
	f := &Supervisor{Listeners: []net.Listener{l}, Version: "test", Handler: e, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	_ = f.serve(context.Background(), func() { fmt.Println(l.Addr()) })
}

// target is what code in the API process is to get at.
type target struct {
	Files     []string
	Dirs      []string
	Addresses [][2]string // network and address
	Engine    int         // its process
	Threads   int         // that it starts, and nothing else; 0: none
}

// tried is what came of each attempt: an error's text, or "" where it succeeded.
type tried map[string]string

func (t tried) note(what string, err error) {
	t[what] = ""
	if err != nil {
		t[what] = err.Error()
	}
}

// attempts tries to get at all of it.
func (t *target) attempts() tried {
	out := tried{}
	for _, file := range t.Files {
		_, err := os.ReadFile(file)
		out.note("read "+file, err)
	}
	for _, dir := range t.Dirs {
		_, err := os.ReadDir(dir)
		out.note("list "+dir, err)
	}
	for _, at := range t.Addresses {
		c, err := net.DialTimeout(at[0], at[1], 5*time.Second)
		if err == nil {
			_ = c.Close()
		}
		out.note("connect to "+at[0], err)
	}
	out.note("open the engine's memory", openOnly(fmt.Sprintf("/proc/%d/mem", t.Engine)))
	out.note("open the engine's environment", openOnly(fmt.Sprintf("/proc/%d/environ", t.Engine)))
	out.note("open the engine's root", openOnly(fmt.Sprintf("/proc/%d/root", t.Engine)))
	out.note("execute", exec.Command("/proc/self/exe", "-test.list", "^$").Run())
	out.note("write", os.WriteFile(filepath.Join(os.TempDir(), "front-was-here"), nil, 0o600))
	_, err := net.Listen("tcp", "127.0.0.1:0")
	out.note("listen", err)
	much, err := unix.Mmap(-1, 0, 16<<30, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	out.note("map memory", err)
	if err == nil {
		_ = unix.Munmap(much) // it is mapped
	}
	return out
}

// others are attempts that a process cannot make on itself.
func (t *target) others() tried {
	out := tried{}
	out.note("ptrace", syscall.PtraceAttach(t.Engine))
	out.note("signal", syscall.Kill(t.Engine, 0))
	b := make([]byte, 8)
	_, err := unix.ProcessVMReadv(t.Engine, []unix.Iovec{{Base: &b[0], Len: 8}}, []unix.RemoteIovec{{Base: 0x400000, Len: 8}}, 0)
	out.note("read memory", err)
	_, err = unix.PidfdOpen(t.Engine, 0)
	out.note("pidfd", err)
	out.note("be root", syscall.Setuid(0))
	out.note("mount", unix.Mount("none", "/", "tmpfs", 0, ""))
	out.note("unshare", unix.Unshare(unix.CLONE_NEWUSER))
	_, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, 0)
	out.note("netlink", err)
	_, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	out.note("datagrams", err)
	_, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	out.note("stream", err)
	_, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	out.note("pair", err)
	out.note("hand over", unix.Sendmsg(socketFD, []byte{kindEngine}, unix.UnixRights(socketFD), nil, 0))
	out.note("send to", unix.Sendto(socketFD, []byte{kindEngine}, unix.MSG_FASTOPEN, &unix.SockaddrInet4{Port: 1}))
	_, err = unix.FcntlInt(socketFD, unix.F_SETOWN, t.Engine)
	out.note("own", err)
	_, err = unix.FcntlInt(socketFD, unix.F_SETFL, unix.O_ASYNC)
	out.note("signal by a descriptor", err)
	out.note("outlive the engine", unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0))
	return out
}

func openOnly(path string) error {
	f, err := os.Open(path)
	if err == nil {
		err = f.Close()
	}
	return err
}

// attack asks the engine what to attack, and tells it what came of that.
func attack(f *relay) {
	ask := func(path string, body []byte) []byte {
		r, _ := http.NewRequest(http.MethodPost, "http://engine"+path, bytes.NewReader(body))
		r.Host = "localhost"
		text, _ := json.Marshal(meta{From: "127.0.0.1:1", At: "127.0.0.1:2"})
		r.Header.Set(metaHeader, string(text))
		got, err := f.transport.RoundTrip(r)
		if err != nil {
			panic(err)
		}
		defer got.Body.Close()
		out, _ := io.ReadAll(got.Body)
		return out
	}
	var t *target
	if _ = json.Unmarshal(ask("/attack", nil), &t); t == nil {
		return
	}
	if t.Threads > 0 {
		var all sync.WaitGroup
		all.Add(t.Threads)
		for range t.Threads {
			go func() { runtime.LockOSThread(); all.Done(); select {} }()
		}
		all.Wait()
		ask("/attacked", []byte("{}"))
		return
	}
	done := t.attempts()
	for what, came := range t.others() {
		done[what] = came
	}
	text, _ := json.Marshal(done)
	ask("/attacked", text)
}

// engine is what the API process of a test asks.
type engine struct {
	target   *target
	attacked chan tried
	unknown  bool // it knows nobody

	mu   sync.Mutex
	seen []string // requests as they came, whole
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/attack":
		_ = json.NewEncoder(w).Encode(e.target)
		return
	case "/attacked":
		var got tried
		_ = json.NewDecoder(r.Body).Decode(&got)
		e.attacked <- got
		return
	}
	text, _ := httputil.DumpRequest(r, true)
	e.mu.Lock()
	e.seen = append(e.seen, string(text))
	e.mu.Unlock()
	if e.unknown {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set(server.RefusedHeader, "true")
	w.WriteHeader(http.StatusTeapot)
}

// serve has an API process serve for an engine, and returns where. with changes what it is given.
func serve(t *testing.T, e http.Handler, with ...func(*Supervisor)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	f := &Supervisor{Listeners: []net.Listener{l}, Version: "test", Handler: e, Log: slog.New(slog.NewTextHandler(&said, nil))}
	for _, change := range with {
		change(f)
	}
	ctx, cancel := context.WithCancel(context.Background())
	up, over := make(chan struct{}), make(chan error, 1)
	go func() { over <- f.serve(ctx, func() { close(up) }) }()
	select {
	case <-up:
	case err := <-over:
		t.Fatalf("it does not serve: %v\n%s", err, said.String())
	}
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Errorf("got %v, want an end without error", err)
		}
		_ = l.Close()
		if t.Failed() {
			t.Logf("the log: %s", said.String())
		}
	})
	return l.Addr().String()
}

// TestSecrets runs code of its choice inside of the API process, which gets at nothing; the same
// code in the engine's process, as a controller of one process was, gets at all of it.
func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	x := &target{
		Dirs: []string{"/", "/proc", dir, filepath.Dir(dir), "/root", "/home"}, Engine: os.Getpid(),
		Files: []string{"/etc/passwd"},
	}
	for _, name := range []string{"controller.token", "state.db", "tls.key", "hostler.conf", "id_ed25519"} {
		file := filepath.Join(dir, name)
		// what rights would not hide either
		if err := os.WriteFile(file, []byte("secret"), 0o644); err != nil {
			t.Fatal(err)
		}
		x.Files = append(x.Files, file)
	}
	for network, at := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(dir, "s"), "tcp6": "[::1]:0"} {
		l, err := net.Listen(network, at)
		if err != nil {
			continue // a machine without IPv6
		}
		defer l.Close()
		x.Addresses = append(x.Addresses, [2]string{network, l.Addr().String()})
	}
	for what, came := range x.attempts() {
		if came != "" && !strings.Contains(what, "/root") && !strings.Contains(what, "/home") {
			t.Errorf("in the engine's own process %s: got %q, want it to succeed: else the test shows nothing", what, came)
		}
	}
	e := &engine{target: x, attacked: make(chan tried, 1)}
	serve(t, e)
	var got tried
	select {
	case got = <-e.attacked:
	case <-time.After(time.Minute):
		t.Fatal("the API process has not said what came of its attempts in a minute")
	}
	if want := len(x.attempts()) + 16; len(got) != want {
		t.Errorf("got %d attempts, want %d: %v", len(got), want, got)
	}
	for what, came := range got {
		if came == "" {
			t.Errorf("in the API process %s: got a success, want an error", what)
		}
	}
}

// TestNeverReaches sends what no operation takes: nothing of it comes to the engine.
func TestNeverReaches(t *testing.T) {
	e := &engine{}
	at := serve(t, e)
	post := func(path, headers, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s",
			path, len(body), headers, body)
	}
	get := func(target, headers string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + headers + "\r\n"
	}
	for name, text := range map[string]string{
		"unknown path":         get("/v1/poison", ""),
		"unknown method":       "POISON /v1/leases HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		"unknown query":        get("/v1/leases?poison=1", ""),
		"unknown field":        post("/v1/leases", "", `{"source":"a","poison":1}`),
		"duplicate field":      post("/v1/leases", "", `{"source":"a","source":"poison"}`),
		"other case":           post("/v1/leases", "", `{"SOURCE":"poison"}`),
		"wrong type":           post("/v1/leases", "", `{"source":["poison"]}`),
		"two documents":        post("/v1/leases", "", `{"source":"a"}{"source":"poison"}`),
		"body of a GET":        "GET /v1/leases HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 6\r\n\r\npoison",
		"oversize":             post("/v1/leases", "", `{"source":"poison`+strings.Repeat("x", 2<<20)+`"}`),
		"two lengths":          post("/v1/leases", "Content-Length: 3\r\n", `{"a":"poison"}`),
		"length and chunks":    post("/v1/leases", "Transfer-Encoding: chunked, poison\r\n", "0\r\n\r\n"),
		"absolute address":     get("http://poison/v1/leases", ""),
		"unknown header":       get("/v1/leases", "X-Poison: poison\r\n"),
		"claim":                get("/v1/leases", metaHeader+`: {"From":"9.9.9.9:9","At":"poison"}`+"\r\n"),
		"claim in other case":  get("/v1/leases", `hOSTLER-fRONT: {"From":"poison"}`+"\r\n"),
		"claim named as a hop": get("/v1/leases", "Connection: Hostler-Front, Poison\r\nPoison: poison\r\n"),
		"injection":            get("/v1/leases", "Authorization: a\x00poison\r\n"),
		"folded header":        get("/v1/leases", "Accept: a\r\n poison: b\r\n"),
		"huge header":          get("/v1/leases", "Authorization: poison"+strings.Repeat("x", 1<<20)+"\r\n"),
		"two hosts":            "GET /v1/leases HTTP/1.1\r\nHost: localhost\r\nHost: poison\r\nConnection: close\r\n\r\n",
	} {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, text) // what is refused early is not read whole
		if got, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil && got.StatusCode < 400 {
			t.Errorf("%s: got status %d, want a refusal", name, got.StatusCode)
		}
		_ = c.Close()
		e.mu.Lock()
		for _, seen := range e.seen {
			if strings.Contains(strings.ToLower(seen), "poison") && name != "folded header" {
				t.Errorf("%s: the engine got %q, want nothing of it", name, seen)
			}
		}
		e.seen = nil
		e.mu.Unlock()
	}
	got, err := http.Post("http://"+at+"/v1/leases", "", strings.NewReader(`{ "source" : "fine" }`))
	if err != nil {
		t.Fatal(err)
	}
	_ = got.Body.Close()
	if len(e.seen) != 1 || !strings.Contains(e.seen[0], `"source":"fine"`) {
		t.Errorf("got %q, want one request with the document written anew", e.seen)
	}
}

// TestForged has the API process say what it may not: it is refused, and nobody becomes somebody by
// it.
func TestForged(t *testing.T) {
	for name, said := range map[string][]string{
		"nothing":       nil,
		"twice":         {`{"From":"1.2.3.4:5","At":"1.2.3.4:6"}`, `{"From":"1.2.3.4:5","At":"1.2.3.4:6"}`},
		"no JSON":       {"root"},
		"no address":    {`{"From":"unix","At":"1.2.3.4:6"}`},
		"an odd zone":   {`{"From":"[fe80::1%\\u001b[2J]:1","At":"1.2.3.4:6"}`},
		"an odd zone 2": {`{"From":"1.2.3.4:5","At":"[fe80::1%a]b]:1"}`},
		"a socket":      {`{"From":"1.2.3.4:5","At":"/run/hostler/controller.sock"}`},
		"a question":    {`{"Ask":"be root","From":"1.2.3.4:5","At":"1.2.3.4:6"}`},
		"a signature":   {`{"Ask":"sign"}`},
		"a certificate": {`{"From":"1.2.3.4:5","At":"1.2.3.4:6","TLS":true,"Chain":["cm9vdA=="]}`},
		"no refusal":    {`{"Ask":"refuse","Status":200,"From":"1.2.3.4:5","At":"1.2.3.4:6"}`},
	} {
		served := false
		h := engineHandler(nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true }))
		r, _ := http.NewRequest(http.MethodGet, "/v1/self", nil)
		r.Header[metaHeader] = said
		w := &bufferedResponse{header: http.Header{}}
		h.ServeHTTP(w, r)
		if served || w.status < 400 {
			t.Errorf("%s: got status %d, served %v, want a refusal", name, w.status, served)
		}
	}
}

// children returns the processes that a process has started.
func children(t *testing.T, pid int) (out []int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatalf("Glob: %v", err)
	}
	for _, file := range tasks {
		text, _ := os.ReadFile(file) // a thread may have ended
		for _, word := range strings.Fields(string(text)) {
			n, err := strconv.Atoi(word)
			if err != nil {
				t.Fatalf("a child in %s: %v; want a number", file, err)
			}
			out = append(out, n)
		}
	}
	return out
}

// apiProcess returns the only API process that a process has started.
func apiProcess(t *testing.T, pid int) int {
	t.Helper()
	var found []int
	for _, child := range children(t, pid) {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child)) // it may have ended
		if strings.Contains(string(line), Subcommand) {
			found = append(found, child)
		}
	}
	if len(found) != 1 {
		t.Fatalf("got API processes %v, want one", found)
	}
	return found[0]
}

// asks sends a request and returns its status; 0: no answer came.
func asks(at string) int {
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	got, err := c.Get("http://" + at + "/v1/leases")
	if err != nil {
		return 0
	}
	_ = got.Body.Close()
	return got.StatusCode
}

// until waits until something is so.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("got no %s in a minute", what)
		}
	}
}

// TestHangs stops an API process: the engine ends it, and starts another on the same listener.
func TestHangs(t *testing.T) {
	at := serve(t, &engine{}, func(f *Supervisor) { f.probing = probing{every: 50 * time.Millisecond, time: 5 * time.Second} })
	if got := asks(at); got != http.StatusTeapot {
		t.Fatalf("got status %d, want the engine's %d", got, http.StatusTeapot)
	}
	stopped := apiProcess(t, os.Getpid())
	if err := syscall.Kill(stopped, syscall.SIGSTOP); err != nil {
		t.Fatalf("SIGSTOP: %v", err)
	}
	until(t, "answer of another process", func() bool { return asks(at) == http.StatusTeapot })
	if got := apiProcess(t, os.Getpid()); got == stopped {
		t.Errorf("got process %d again, want another", got)
	}
}

// TestKilled kills API processes while requests come: each is started again, and every answer that
// comes is the engine's.
func TestKilled(t *testing.T) {
	at := serve(t, &engine{})
	for range 3 {
		process := apiProcess(t, os.Getpid())
		if err := syscall.Kill(process, syscall.SIGKILL); err != nil {
			t.Fatalf("SIGKILL: %v", err)
		}
		until(t, "answer", func() bool {
			got := asks(at)
			if got != 0 && got != http.StatusTeapot {
				t.Errorf("got status %d, want the engine's %d", got, http.StatusTeapot)
			}
			return got != 0
		})
	}
}

// TestEngineKilled kills an engine: its API process ends too, and the port is free.
func TestEngineKilled(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "engine", "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("StdoutPipe: %v", err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("Start: %v", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("ReadString: %v", err)
	}
	at, process := strings.TrimSpace(line), apiProcess(t, cmd.Process.Pid)
	// it cannot read that its engine has ended, as one that hangs cannot
	if err := syscall.Kill(process, syscall.SIGSTOP); err != nil {
		t.Fatalf("SIGSTOP: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatalf("Kill: %v", err)
	}
	_ = cmd.Wait() // it was killed
	until(t, "end of the API process", func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process))
		return err != nil || strings.Contains(string(text), ") Z ")
	})
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatalf("got %v, want the port to be free", err)
	}
	_ = l.Close()
}

// TestLargeBody sends a large body without a credential that the engine knows: its answer comes
// before the body has been read.
func TestLargeBody(t *testing.T) {
	e := &engine{unknown: true}
	at := serve(t, e)
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, "POST /v1/leases HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000000\r\n\r\n{"); err != nil {
		t.Fatalf("WriteString: %v", err)
	}
	got, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("got %v, want an answer before the body", err)
	}
	if got.StatusCode != http.StatusUnauthorized {
		t.Errorf("got status %d, want %d", got.StatusCode, http.StatusUnauthorized)
	}
	if len(e.seen) != 1 || !strings.HasPrefix(e.seen[0], "GET "+selfPath) {
		t.Errorf("got %q, want one question who asks", e.seen)
	}
}
