//go:build linux

package container_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/container"
)

// hub is a registry in a daemon's network that misbehaves on request.
type hub struct {
	*httptest.Server
	host   string
	asks   atomic.Int64 // requests
	cut    atomic.Bool  // layers end in the middle
	garble atomic.Bool  // and have a bit turned
	user   string       // not "": who may, with the password "secret"
}

func (d *daemon) hub(t *testing.T) *hub {
	t.Helper()
	h := &hub{}
	var l net.Listener
	var err error
	d.within(t, func() { l, err = net.Listen("tcp", "127.0.0.1:0") })
	if err != nil {
		t.Fatal(err)
	}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	h.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.asks.Add(1)
		if user, password, _ := r.BasicAuth(); h.user != "" && (user != h.user || password != "secret") {
			w.Header().Set("WWW-Authenticate", `Basic realm="hub"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if h.cut.Load() && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			w.Header().Set("Content-Length", "1000000")
			w.Write(make([]byte, 1000))
			panic(http.ErrAbortHandler)
		}
		if h.garble.Load() && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			rec := httptest.NewRecorder()
			inner.ServeHTTP(rec, r)
			for name, values := range rec.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(rec.Code)
			b := rec.Body.Bytes()
			b[len(b)/2] ^= 1
			_, _ = w.Write(b)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	h.Server.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.Server.Listener.Close()
	h.Server.Listener = l
	h.Server.Start()
	h.host = l.Addr().String()
	t.Cleanup(h.Close)
	return h
}

// push puts an image into the hub, past the daemon.
func (h *hub) push(t *testing.T, d *daemon, ref string) {
	t.Helper()
	layer, err := random.Layer(1<<20, "application/vnd.docker.image.rootfs.diff.tar.gzip")
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.ConfigFile(img, config(t, img)); err != nil {
		t.Fatal(err)
	}
	r, err := name.ParseReference(h.host + "/" + ref)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(
		_ context.Context, network, addr string,
	) (conn net.Conn, err error) {
		d.within(t, func() { conn, err = net.Dial(network, addr) })
		return conn, err
	}}
	if err := remote.Write(r, img, remote.WithTransport(transport)); err != nil {
		t.Fatal(err)
	}
}

func config(t *testing.T, img v1.Image) *v1.ConfigFile {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c = c.DeepCopy()
	c.OS, c.Architecture = "linux", runtime.GOARCH
	return c
}

func TestPull(t *testing.T) {
	both(t, func(t *testing.T, d *daemon) {
		t.Setenv("DOCKER_CONFIG", t.TempDir())
		t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(t.TempDir(), "none"))
		t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
		h := d.hub(t)
		h.push(t, d, "some/image:1")
		ref := h.host + "/some/image:1"
		n := 0
		make := func(o container.Options) (*container.Provider, error) {
			n++
			p := open(t, d, o)
			id := compute.ID(fmt.Sprintf("suite-%d", n))
			t.Cleanup(func() { destroy(t, p, id) })
			_, err := p.Create(t.Context(), compute.Spec{ID: id})
			return p, err
		}
		forget := func(ref string) {
			for i := range n {
				destroy(t, open(t, d, container.Options{}), compute.ID(fmt.Sprintf("suite-%d", i+1)))
			}
			_, _ = d.request(http.MethodDelete, "/images/"+ref+"?force=1", nil)
		}
		t.Cleanup(func() { forget(ref) })

		_, err := make(container.Options{Image: h.host + "/some/other:1"})
		want(t, "an image that no registry has", err, compute.ErrNotFound, "some/other")
		h.cut.Store(true)
		_, err = make(container.Options{Image: ref})
		want(t, "a registry that breaks off", err, compute.ErrUnavailable, "some/image")
		h.cut.Store(false)
		h.garble.Store(true)
		_, err = make(container.Options{Image: ref})
		want(t, "a registry that garbles", err, compute.ErrFailed, "some/image", "promised")
		h.garble.Store(false)

		if _, err := make(container.Options{Image: ref}); err != nil {
			t.Fatal(err)
		}
		asked := h.asks.Load()
		if _, err := make(container.Options{Image: ref}); err != nil || h.asks.Load() != asked {
			t.Errorf("an image that is there was asked for %d times: %v", h.asks.Load()-asked, err)
		}
		if _, err := make(container.Options{Image: ref, Pull: "always"}); err != nil || h.asks.Load() == asked {
			t.Errorf("pull = always did not ask the registry: %v", err)
		}
		h.user = "somebody"
		forget(ref)
		_, err = make(container.Options{Image: ref})
		want(t, "without a login", err, compute.ErrDenied, "login")
		auth := base64.StdEncoding.EncodeToString([]byte("somebody:secret"))
		text := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, h.host, auth)
		if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := make(container.Options{Image: ref}); err != nil {
			t.Errorf("with a login: %v", err)
		}
		forget(ref)
		h.Close()
		_, err = make(container.Options{Image: ref})
		want(t, "a registry that is down", err, compute.ErrUnavailable, "registry")
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("a secret in an error: %v", err)
		}
	})
}
