// Package signintest runs a real provider of OpenID Connect for tests, and acts as a person at its
// pages.
//
// The provider is a module of its own in auth/signin/testdata/provider, which is built here. If its
// modules cannot be had, the test is skipped.
package signintest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// Settings configure the provider. They are a copy of the type in its module.
type Settings struct {
	Issuer   string            // set by Start
	Clients  map[string]Client // by id
	People   map[string]Person // by login name; the password is "secret"
	Code     time.Duration     // how long a device's code is valid; 0: 5 minutes
	Interval int               // seconds between two questions of a device; 0: 1
}

// Client is an OAuth client of the provider.
type Client struct {
	Secret   string        // "": a public client
	Redirect []string      // addresses that browsers may be sent back to
	Thin     bool          // ID tokens have no claims of a person but the subject
	Lives    time.Duration // the life of an ID token; 0: an hour
}

// Person is a user of the provider.
type Person struct {
	Email    string
	Verified bool
	Name     string // preferred_username
	Groups   []string
}

// Provider is a running provider. Tests reach it through a proxy that they can shut.
type Provider struct {
	URL  string // the issuer
	t    testing.TB
	real string // the address that the program listens on

	mu   sync.Mutex
	shut bool
	open map[net.Conn]bool
}

// program builds the provider once per process, and returns the binary itself so that no file is
// left behind.
var program = sync.OnceValues(func() (string, error) {
	_, file, _, _ := runtime.Caller(0)
	dir, err := os.MkdirTemp("", "hostler-provider")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "provider"), ".")
	cmd.Dir = filepath.Join(filepath.Dir(file), "..", "testdata", "provider")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
	if out, err := cmd.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		return "", errors.New(string(out))
	}
	path, err := os.ReadFile(filepath.Join(dir, "provider"))
	_ = os.RemoveAll(dir)
	return string(path), err
})

// Start runs a provider until the test ends.
func Start(t testing.TB, s Settings) *Provider {
	t.Helper()
	image, err := program()
	if err != nil {
		if os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
			t.Fatalf("the provider cannot be built: %v", err)
		}
		t.Skipf("signintest: the provider cannot be built: %v", err)
	}
	path := filepath.Join(t.TempDir(), "provider")
	if err := os.WriteFile(path, []byte(image), 0o700); err != nil {
		t.Fatal(err)
	}
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{URL: "http://" + door.Addr().String(), t: t, open: map[net.Conn]bool{}}
	s.Issuer = p.URL
	if s.Code == 0 {
		s.Code = 5 * time.Minute
	}
	if s.Interval == 0 {
		s.Interval = 1
	}
	settings, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Stdin = bytes.NewReader(settings)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("the provider: %v: %s", err, said.String())
	}
	p.real = strings.TrimPrefix(strings.TrimSpace(line), "http://")
	var all sync.WaitGroup
	all.Go(func() { p.serve(door, &all) })
	t.Cleanup(func() {
		_ = door.Close()
		p.Shut()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		all.Wait()
		if t.Failed() {
			t.Logf("the provider said: %s", said.String())
		}
	})
	return p
}

// serve passes connections on to the provider while it is open.
func (p *Provider) serve(door net.Listener, all *sync.WaitGroup) {
	for {
		c, err := door.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		if !p.shut {
			p.open[c] = true
		}
		let := p.open[c]
		p.mu.Unlock()
		if !let {
			_ = c.Close()
			continue
		}
		all.Go(func() {
			defer c.Close()
			defer func() {
				p.mu.Lock()
				delete(p.open, c)
				p.mu.Unlock()
			}()
			to, err := net.Dial("tcp", p.real)
			if err != nil {
				return
			}
			defer to.Close()
			all.Go(func() {
				_, _ = io.Copy(to, c)
				_ = to.Close()
			})
			_, _ = io.Copy(c, to)
		})
	}
}

// Shut makes the provider unreachable: it cuts all connections and refuses new ones.
func (p *Provider) Shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = true
	for c := range p.open {
		_ = c.Close()
	}
}

// Open makes it reachable again.
func (p *Provider) Open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = false
}

// Rotate makes the provider sign with a new key and forget the old one.
func (p *Provider) Rotate() {
	p.t.Helper()
	answer, err := http.Post(p.URL+"/test/rotate", "", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = answer.Body.Close()
}

// person returns a browser with its own cookies.
func person(t testing.TB) *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: time.Minute}
}

// Type enters a device's code at the provider's page, signs in as name, and agrees or refuses.
func (p *Provider) Type(code, name string, agree bool) {
	p.t.Helper()
	browser := person(p.t)
	action := map[bool]string{true: "allowed", false: "denied"}[agree]
	for _, ask := range []func() (*http.Response, error){
		func() (*http.Response, error) {
			return browser.PostForm(p.URL+"/device/login", url.Values{"user_code": {code}, "username": {name}, "password": {"secret"}})
		},
		func() (*http.Response, error) { return browser.Get(p.URL + "/device/confirm?action=" + action) },
	} {
		answer, err := ask()
		if err != nil {
			p.t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK || strings.Contains(answer.Request.URL.RawQuery, "prompt=") {
			p.t.Fatalf("the provider's page: %s %s: %s", answer.Request.URL, answer.Status, text)
		}
	}
}

// Browse follows an address as a browser does, and signs in as name where the provider asks. It
// returns the last answer. It does not follow an address that begins with stop, unless stop is "".
func (p *Provider) Browse(browser *http.Client, address, name, stop string) *http.Response {
	p.t.Helper()
	browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if stop != "" && strings.HasPrefix(r.URL.String(), stop) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	answer, err := browser.Get(address)
	if err != nil {
		p.t.Fatal(err)
	}
	if !strings.HasPrefix(answer.Request.URL.Path, "/login/username") {
		return answer
	}
	id := answer.Request.URL.Query().Get("authRequestID")
	_ = answer.Body.Close()
	answer, err = browser.PostForm(p.URL+"/login/username", url.Values{"username": {name}, "password": {"secret"}, "id": {id}})
	if err != nil {
		p.t.Fatal(err)
	}
	return answer
}

// Browser returns a browser that has not been used.
func Browser(t testing.TB) *http.Client { return person(t) }
