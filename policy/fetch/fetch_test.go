package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hostler-project/hostler/policy/fetch"
)

// The addresses of a machine and of the internet in these tests.
const (
	machine = "198.41.0.4" // public, and this machine's own
	outside = "93.184.216.34"
)

// names is a resolver. A name with several lists answers by the next one each time.
type names struct {
	mu  sync.Mutex
	all map[string][][]string
}

func (n *names) LookupNetIP(_ context.Context, _, host string) (out []netip.Addr, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	lists := n.all[strings.ToLower(strings.TrimSuffix(host, "."))]
	if len(lists) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if len(lists) > 1 {
		n.all[host] = lists[1:]
	}
	for _, s := range lists[0] {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, nil
}

// world is a guard with a made-up internet: all that it dials at outside comes to a server of the
// test, and all else would come to the secret.
type world struct {
	guard   *fetch.Guard
	client  *http.Client
	names   *names
	reached atomic.Int32 // how often somebody got where nobody should
	dialed  atomic.Int32
	refused atomic.Int32
	web     *httptest.Server
	secure  *httptest.Server
}

func newWorld(t *testing.T, allow ...string) *world {
	t.Helper()
	w := &world{names: &names{all: map[string][][]string{
		"public.example": {{outside}}, "localhost": {{"127.0.0.1"}}, "localhost.localdomain": {{"::1"}},
		"me.example": {{"127.0.0.1"}}, "me6.example": {{"::1"}},
		"meta.example": {{"169.254.169.254"}}, "meta6.example": {{"fd00:ec2::254"}}, "own.example": {{machine}},
		"inner.example": {{"10.1.2.3"}}, "mapped.example": {{"::ffff:169.254.169.254"}},
		"several.example": {{outside, "169.254.169.254"}}, "several6.example": {{outside, "::1"}},
		"last.example":   {{outside, outside, outside, "10.0.0.1"}},
		"rebind.example": {{outside}, {"127.0.0.1"}, {"169.254.169.254"}}, "0": {{"0.0.0.0"}}, "127.1": {{"127.0.0.1"}},
		"2130706433": {{"127.0.0.1"}}, "0x7f000001": {{"127.0.0.1"}}, "017700000001": {{"127.0.0.1"}},
		"0177.0.0.1": {{"127.0.0.1"}}, "0xa9.0xfe.0xa9.0xfe": {{"169.254.169.254"}}, "2852039166": {{"169.254.169.254"}},
		"metadata.google.internal": {{"169.254.169.254"}}, "127.0.0.1.nip.example": {{"127.0.0.1"}},
		"nat64.example": {{"64:ff9b::a9fe:a9fe"}}, "good64.example": {{"64:ff9b::5db8:d822"}}, "empty.example": {{}},
	}}}
	secret := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { w.reached.Add(1) }))
	t.Cleanup(secret.Close)
	answer := http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		if at := r.URL.Query().Get("to"); at != "" {
			var status int
			_, _ = fmt.Sscan(r.URL.Query().Get("status"), &status)
			to.Header().Set("Location", at)
			to.WriteHeader(status)
			return
		}
		_, _ = io.WriteString(to, "hello")
	})
	w.web, w.secure = httptest.NewServer(answer), httptest.NewTLSServer(answer)
	t.Cleanup(w.web.Close)
	t.Cleanup(w.secure.Close)
	rules, err := fetch.Parse(allow)
	if err != nil {
		t.Fatal(err)
	}
	w.guard = fetch.New(fetch.Options{Allow: rules, Resolver: w.names, Refused: func(context.Context, *fetch.Refused) { w.refused.Add(1) },
		Own: func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr(machine)}, nil },
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			w.dialed.Add(1)
			to := secret.Listener.Addr().String()
			switch address {
			case outside + ":80", "[64:ff9b::5db8:d822]:80":
				to = w.web.Listener.Addr().String()
			case outside + ":443":
				to = w.secure.Listener.Addr().String()
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		}})
	base := w.secure.Client().Transport.(*http.Transport).Clone()
	base.TLSClientConfig.ServerName = "example.com" // of the test's certificate
	w.client = &http.Client{Transport: w.guard.Transport(base)}
	t.Cleanup(w.client.CloseIdleConnections)
	return w
}

// get is the answer's text, or why there is none.
func (w *world) get(url string) (string, error) {
	answer, err := w.client.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// ways lead to loopback, to metadata, to this machine and to its neighbours.
var ways = []string{
	"http://127.0.0.1/", "http://127.0.0.1:7070/v1/sources", "http://127.255.255.254/", "http://127.1/",
	"http://2130706433/", "http://0x7f000001/", "http://017700000001/", "http://0177.0.0.1/",
	"http://0/", "http://0.0.0.0/", "http://[::]/", "http://[::1]/", "http://[0:0:0:0:0:0:0:1]/",
	"http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/", "http://[::ffff:0:127.0.0.1]/",
	"http://localhost/", "http://localhost./", "http://LocalHost/", "http://localhost.localdomain/",
	"http://me.example/", "http://ME.example./", "http://me6.example/", "http://127.0.0.1.nip.example/",
	"http://public.example@127.0.0.1/", "http://user:secret@127.0.0.1/", "http://１２７.0.0.1/", "http://ⓛocalhost/", "http://127。0。0。1/",
	"http://169.254.169.254/latest/meta-data/", "http://169.254.169.254./", "http://2852039166/",
	"http://0xa9.0xfe.0xa9.0xfe/", "http://[::ffff:169.254.169.254]/", "http://[fd00:ec2::254]/",
	"http://[fd20:ce::254]/",
	"http://100.100.100.200/", "http://168.63.129.16/", "http://192.0.0.192/", "http://169.254.170.2/",
	"http://metadata.google.internal/", "http://meta.example/", "http://meta6.example/", "http://mapped.example/",
	"http://[64:ff9b::a9fe:a9fe]/", "http://[64:ff9b::7f00:1]/", "http://[64:ff9b:1::a9fe:a9fe]/",
	"http://nat64.example/", "http://[2002:a9fe:a9fe::]/", "http://[2002:7f00:1::]/",
	"http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/",
	"http://[2001:0:5db8:d822::1]/", "http://[2600::5efe:7f00:1]/", "http://[2600::200:5efe:a9fe:a9fe]/",
	"http://[fe80::1]/", "http://[fe80::a9fe:a9fe%25lo]/", "http://[fe80::1%25eth0]/",
	"http://" + machine + "/", "http://own.example/", "http://[::ffff:" + machine + "]/",
	"http://10.0.0.1/", "http://10.255.255.255/", "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.1.1/",
	"http://100.64.0.1/", "http://100.127.255.255/", "http://[fc00::1]/", "http://[fdff::1]/",
	"http://inner.example/",
	"http://224.0.0.1/", "http://255.255.255.255/", "http://240.0.0.1/", "http://198.18.0.1/", "http://192.0.2.1/",
	"http://[ff02::1]/", "http://[2001:db8::1]/", "http://[100::1]/", "http://[4000::1]/", "http://[5f00::1]/",
	"http://several.example/", "http://several6.example/", "http://last.example/", "http://empty.example/",
	"https://127.0.0.1/", "https://me.example/", "https://169.254.169.254/",
	"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:70/", "unix:///run/docker.sock", "dict://127.0.0.1:11211/",
}

// TestWays: none of the ways that there are to places of this machine's own leads there, as they
// are and by each kind of redirect.
func TestWays(t *testing.T) {
	w := newWorld(t)
	for _, way := range ways {
		before := w.dialed.Load()
		if text, err := w.get(way); err == nil {
			t.Errorf("%s: text = %q; want an error", way, text)
		}
		if w.dialed.Load() != before {
			t.Errorf("%s: something was dialed", way)
		}
		for _, status := range []int{301, 302, 303, 307, 308} {
			if text, err := w.get(fmt.Sprintf("http://public.example/?status=%d&to=%s", status, url.QueryEscape(way))); err == nil {
				t.Errorf("%s by a redirect %d: %q", way, status, text)
			}
		}
	}
	if n := w.reached.Load(); n != 0 {
		t.Errorf("%d of them reached", n)
	}
	t.Logf("%d ways, each by itself and by 5 redirects: %d reached, %d refused", len(ways), w.reached.Load(), w.refused.Load())
}

// TestThrough: what is on the internet is reached, with redirects, by TLS, and by an address that
// is translated to one of IPv4.
func TestThrough(t *testing.T) {
	w := newWorld(t)
	for _, url := range []string{"http://public.example/", "http://" + outside + "/", "https://public.example/",
		"http://public.example./", "http://public.example/?status=302&to=http://" + outside + "/",
		"http://public.example/?status=307&to=https://public.example/", "https://public.example/?status=301&to=/",
		"http://good64.example/"} {
		if text, err := w.get(url); err != nil || text != "hello" {
			t.Errorf(`%s: text = %q err = %v; want no error and text == "hello"`, url, text, err)
		}
	}
	if _, err := w.get("https://public.example/?status=302&to=http://public.example/"); err == nil || !errors.As(err, new(*fetch.Refused)) {
		t.Errorf("a redirect that gives TLS up: %v", err)
	}
	if w.reached.Load() != 0 {
		t.Error("reached")
	}
}

// TestRebinding: a name that answers otherwise the second time is dialed at what was judged; the
// next connection is judged anew, and one that is kept leads where it led.
func TestRebinding(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		if text, err := w.get("http://rebind.example/"); err != nil || text != "hello" {
			t.Errorf(`text = %q err = %v; want no error and text == "hello"`, text, err)
		}
	}
	if n := w.dialed.Load(); n != 1 {
		t.Errorf("%d connections, and one was kept", n)
	}
	for range 2 {
		w.client.CloseIdleConnections()
		if text, err := w.get("http://rebind.example/"); !errors.As(err, new(*fetch.Refused)) {
			t.Errorf("text = %q err = %v; want errors.As(err, new(*fetch.Refused))", text, err)
		}
	}
	if w.reached.Load() != 0 {
		t.Error("reached")
	}
}

// TestKept: a connection that somebody has who may go anywhere is never another's.
func TestKept(t *testing.T) {
	w := newWorld(t)
	free := w.guard.And(fetch.RulesFor("http://127.0.0.1/"))
	may := &http.Client{Transport: free.Transport(nil)}
	defer may.CloseIdleConnections()
	answer, err := may.Get("http://127.0.0.1/")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	before := w.reached.Load()
	if _, err := w.get("http://127.0.0.1/"); err == nil || w.reached.Load() != before {
		t.Error("by a connection that is kept", err)
	}
}

// TestAllow: each way to write what is allowed opens that, and no more.
func TestAllow(t *testing.T) {
	for _, c := range []struct{ allow, yes, no string }{
		{"loopback", "127.0.0.1:80 127.9.9.9:22 [::1]:80 me.example:80", "169.254.169.254:80 10.0.0.1:80 " + machine + ":80 0.0.0.0:80"},
		{
			"private", "10.0.0.1:80 172.16.9.9:80 192.168.0.1:80 100.64.0.1:80 [fd12::1]:80",
			"127.0.0.1:80 [fd00:ec2::254]:80 100.100.100.200:80 169.254.1.1:80 240.0.0.1:80",
		},
		{"own", machine + ":80 own.example:443", "127.0.0.1:80 10.0.0.1:80"},
		{"10.1.0.0/16", "10.1.2.3:80 inner.example:80 [::ffff:10.1.2.3]:80", "10.2.0.1:80"},
		{
			"0.0.0.0/0", "10.1.2.3:80 240.0.0.1:80",
			"127.0.0.1:80 169.254.169.254:80 168.63.129.16:80 169.254.1.1:80 " + machine + ":80 [fd12::1]:80",
		},
		{"::/0", "[fd12::1]:80", "[::1]:80 [fd00:ec2::254]:80 [fe80::1]:80 10.1.2.3:80"},
		{"127.0.0.0/8", "127.0.0.1:80", "[::1]:80"},
		{"169.254.0.0/16", "169.254.1.1:80", "169.254.169.254:80"},
		{"169.254.169.254", "169.254.169.254:80 [64:ff9b::a9fe:a9fe]:80 meta.example:80", "[fd00:ec2::254]:80"},
		{"127.0.0.1:5000", "127.0.0.1:5000 localhost:5000", "127.0.0.1:80 127.0.0.2:5000"},
		{"[::1]:5000", "[::1]:5000", "[::1]:80"},
		{machine, machine + ":80", "127.0.0.1:80"},
		{"198.41.0.0/24", outside + ":80", machine + ":80"},
		{"inner.example:5000", "inner.example:5000 INNER.example.:5000", "inner.example:80 10.1.2.3:5000 me.example:5000"},
		{"*.example", "inner.example:80 me.example:80 own.example:80", "meta.example:80 nat64.example:80 several.example:80 localhost:80"},
	} {
		w := newWorld(t, strings.Split(c.allow, ", ")...)
		for _, at := range strings.Fields(c.yes) {
			if err := w.guard.Check(t.Context(), at); err != nil {
				t.Errorf("allow = %s: %s: %v", c.allow, at, err)
			}
		}
		for _, at := range strings.Fields(c.no) {
			if err := w.guard.Check(t.Context(), at); !errors.As(err, new(*fetch.Refused)) {
				t.Errorf("allow = %s: %s: %v", c.allow, at, err)
			}
		}
	}
}

func TestDeny(t *testing.T) {
	deny, err := fetch.Parse([]string{"93.184.0.0/16", "bad.example:443"})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	g := fetch.New(fetch.Options{Deny: deny, Resolver: w.names, Allow: fetch.RulesFor("http://public.example")})
	if err := g.Check(t.Context(), "public.example:80"); !errors.As(err, new(*fetch.Refused)) {
		t.Error(err)
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"lopback": "did you mean loopback?", "privat": "did you mean private?", "10.1.2.3/16": "without bits behind it",
		"10.1.0.0/33": "no range", "registry": "HOST:PORT", "": "HOST:PORT", "localhost": "HOST:PORT",
		"a.example:0": "no port", "a.example:http": "no port", "http://a.example/": "no range", "0x7f.1": "HOST:PORT",
		"2130706433:80": "HOST:PORT", "fe80::1%eth0": "HOST:PORT", "ä.example": "HOST:PORT",
	} {
		if _, err := fetch.Parse([]string{text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: err = %v; want an error and err.Error() with want", text, err)
		}
	}
	if all, err := fetch.Parse([]string{
		" Loopback ", "private", "own", "10.0.0.0/8", "fc00::/7", "::1", "[::1]:80", "Registry.Local.:5000",
		"localhost:5000", "*.corp.example",
	}); err != nil || len(all) != 10 {
		t.Errorf("all = %v, err = %v; want no error and len(all) == 10", all, err)
	}
}

// TestWords: what others are told of a refusal has nothing of what a name leads to here, and
// nothing that a terminal obeys.
func TestWords(t *testing.T) {
	w := newWorld(t)
	_, err := w.get("http://inner.example/")
	if err == nil || strings.Contains(err.Error(), "10.1.2.3") {
		t.Error(err)
	}
	var told *fetch.Refused
	if !errors.As(err, &told) || told.Addr.String() != "10.1.2.3" || told.Port != 80 {
		t.Errorf(`told = %+v; want errors.As(err, &told) and told.Addr.String() == "10.1.2.3" and told.Port == 80`, told)
	}
	long := (&fetch.Refused{Host: "\x1b[2J" + strings.Repeat("x", 1000)}).Error()
	if strings.ContainsRune(long, 0x1b) || len(long) > 300 {
		t.Errorf("long = %q; want !strings.ContainsRune(long, 0x1b) and len(long) <= 300", long)
	}
}

// TestProxy: an operator's proxy is dialed where it is, and what is asked of it is judged before.
func TestProxy(t *testing.T) {
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, "by proxy "+r.URL.Host)
	}))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	c := &http.Client{Transport: w.guard.Transport(&http.Transport{Proxy: http.ProxyURL(at)})}
	defer c.CloseIdleConnections()
	for host, want := range map[string]bool{
		"public.example": true, "known.to.the.proxy.example": true, "inner.example": false, "169.254.169.254": false,
		"me.example": false,
	} {
		answer, err := c.Get("http://" + host + "/")
		if (err == nil) != want {
			t.Errorf("%s: err = %v; want (err == nil) == want", host, err)
		}
		if err == nil {
			answer.Body.Close()
		}
	}
	if asked.Load() != 2 {
		t.Error(asked.Load())
	}
}

// TestOwn: the addresses of this machine are those that it has when it is asked, and those that its
// kernel takes for its own.
func TestOwn(t *testing.T) {
	g := fetch.New(fetch.Options{Allow: mustParse(t, "private", "loopback")})
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		p := netip.MustParsePrefix(one.String())
		if a := p.Addr(); !a.IsLoopback() && g.Check(t.Context(), netip.AddrPortFrom(a, 80).String()) == nil {
			t.Errorf("%s is this machine's", a)
		}
	}
}

// TestRace: an address that does not answer does not keep the others, and the first error is told
// when none does.
func TestRace(t *testing.T) {
	n := &names{all: map[string][][]string{"two.example": {{"93.184.216.1", outside}}, "none.example": {{"93.184.216.2", "93.184.216.3"}}}}
	g := fetch.New(fetch.Options{Resolver: n, Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
		switch address {
		case "93.184.216.1:80":
			<-ctx.Done()
			return nil, ctx.Err()
		case outside + ":80":
			here, _ := net.Pipe()
			return here, nil
		}
		return nil, errors.New("no way to " + address)
	}})
	c, err := g.DialContext(t.Context(), "tcp", "two.example:80")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := g.DialContext(t.Context(), "tcp", "none.example:80"); err == nil || err.Error() != "no way to 93.184.216.2:80" {
		t.Error(err)
	}
	for _, network := range []string{"udp", "unix", "tcp4"} {
		if _, err := g.DialContext(t.Context(), network, "two.example:80"); err == nil {
			t.Error(network)
		}
	}
}

func mustParse(t *testing.T, words ...string) fetch.Rules {
	t.Helper()
	r, err := fetch.Parse(words)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "[::1]:80", "*.a.example:5", "loopback"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) { _, _ = fetch.Parse([]string{s}) })
}

// BenchmarkCheck is what a new connection costs more than one without the guard, beside the look-up
// of its name.
func BenchmarkCheck(b *testing.B) {
	g := fetch.New(fetch.Options{})
	for b.Loop() {
		if err := g.Check(b.Context(), outside+":443"); err != nil {
			b.Fatal(err)
		}
	}
}
