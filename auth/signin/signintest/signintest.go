// Package signintest runs a real provider of OpenID Connect for tests, and does what people do at
// its pages.
//
// The provider is a module of its own in auth/signin/testdata/provider, which is built here; where
// its modules cannot be had the test is skipped by name.
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

// Settings are of the provider. They are a copy of those in its module.
type Settings struct {
	Issuer   string            // set by Start
	Clients  map[string]Client // by id
	People   map[string]Person // by what they type as their name; the password is "secret"
	Code     time.Duration     // for so long a device's code is good; 0: 5 minutes
	Interval int               // seconds between questions of a device; 0: 1
}

// Client is one that may ask the provider.
type Client struct {
	Secret   string        // "": public
	Redirect []string      // of browsers
	Thin     bool          // ID tokens say nothing of a person but the subject
	Lives    time.Duration // an ID token; 0: an hour
}

// Person is somebody whom the provider knows.
type Person struct {
	Email    string
	Verified bool
	Name     string // preferred_username
	Groups   []string
}

// Provider is one that runs. It is reached through a door that a test may shut.
type Provider struct {
	URL  string // its issuer
	t    testing.TB
	real string // where it listens

	mu   sync.Mutex
	shut bool
	open map[net.Conn]bool
}

// program is built once for a process. It is removed by nobody but the system's own care for
// temporary files, unless the test's directory has it.
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

// serve lets connections through while the door is open.
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

// Shut has the provider be away: connections are cut, new ones too.
func (p *Provider) Shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = true
	for c := range p.open {
		_ = c.Close()
	}
}

// Open has it be there again, as it was.
func (p *Provider) Open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = false
}

// Rotate has it sign with a new key, and forget the old one.
func (p *Provider) Rotate() {
	p.t.Helper()
	answer, err := http.Post(p.URL+"/test/rotate", "", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = answer.Body.Close()
}

// person is a browser with cookies of its own.
func person(t testing.TB) *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: time.Minute}
}

// Type does what a person does with a device's code: type it, say who he is, and agree or refuse.
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

// Browse goes to an address as a browser does, with its cookies, and says who somebody is where the
// provider asks; it returns where it ended up, without going to the address that begins with stop.
// "": everywhere.
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

// Browser is one that nobody has used.
func Browser(t testing.TB) *http.Client { return person(t) }
