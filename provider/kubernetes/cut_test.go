package kubernetes_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/provider/kubernetes"
)

const minute = time.Minute

// cable is a way to the API server that can be cut: what is connected then ends, and nothing new
// is.
type cable struct {
	to, at string

	mu   sync.Mutex
	l    net.Listener // nil: nobody listens
	cut  bool
	open map[net.Conn]bool
	all  sync.WaitGroup
}

var server = regexp.MustCompile(`server: *"?(https://[^", }]+)"?`)

// address is the API server's in a kubeconfig, and the kubeconfig's text.
func address(t *testing.T, kubeconfig string) ([]byte, *url.URL) {
	t.Helper()
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(string(server.FindSubmatch(text)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return text, at
}

// cutAt has a source reach the lab by a cable.
func cutAt(t *testing.T, o *kubernetes.Options) *cable {
	t.Helper()
	text, at := address(t, o.Kubeconfig)
	c := &cable{to: at.Host, at: "127.0.0.1:0", open: map[net.Conn]bool{}}
	c.listen(t)
	t.Cleanup(func() {
		c.set(t, true)
		c.all.Wait()
	})
	o.Kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	at.Host = c.at
	if err := os.WriteFile(o.Kubeconfig, server.ReplaceAll(text, []byte(`server: "`+at.String()+`"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// listen takes connections again.
func (c *cable) listen(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", c.at)
	if err != nil {
		t.Fatal(err)
	}
	c.l, c.at = l, l.Addr().String()
	c.all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.all.Go(func() { c.serve(conn) })
		}
	})
}

// set cuts it, so that connections are refused, or mends it.
func (c *cable) set(t *testing.T, cut bool) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case cut && c.l != nil:
		_ = c.l.Close()
		c.l = nil
	case !cut && c.l == nil:
		c.listen(t)
	}
	c.sever(cut)
}

// mute has connections be taken, and closed without a word.
func (c *cable) mute() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sever(true)
}

func (c *cable) sever(cut bool) {
	c.cut = cut
	for conn := range c.open {
		if cut {
			_ = conn.Close()
		}
	}
}

func (c *cable) serve(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer far.Close()
	c.mu.Lock()
	if c.cut {
		c.mu.Unlock()
		return
	}
	c.open[near], c.open[far] = true, true
	c.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = near.Close()
			_ = far.Close()
		})
	}
	both.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, near)
	delete(c.open, far)
}

// compact has the cluster's store forget all history.
func compact(t *testing.T) {
	t.Helper()
	_, at := address(t, lab.Config(t))
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path, body string, out any) {
		t.Helper()
		answer, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/v3/%s", port+1, path), "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err == nil && answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", answer.Status, text)
		}
		if err == nil && out != nil {
			err = json.Unmarshal(text, out)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var now struct {
		Header struct {
			Revision string `json:"revision"`
		} `json:"header"`
	}
	ask("maintenance/status", "{}", &now)
	ask("kv/compaction", `{"revision":"`+now.Header.Revision+`","physical":true}`, nil)
}
