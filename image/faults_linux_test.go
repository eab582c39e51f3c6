package image_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
)

// noise is text that does not compress.
func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return string(b)
}

func isLayerOf(img v1.Image, n int, path string) bool {
	layers, _ := img.Layers()
	d, _ := layers[n].Digest()
	return strings.HasSuffix(path, "/blobs/"+d.String())
}

func TestCredentials(t *testing.T) {
	w, s := serve(t), open(t)
	ref := w.push(t, "private", two(t))
	w.intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if user, pass, ok := r.BasicAuth(); ok && user == "me" && pass == "s3cret" {
			return false
		}
		rw.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		rw.WriteHeader(http.StatusUnauthorized)
		return true
	})
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("DOCKER_CONFIG", filepath.Join(home, ".docker"))
	t.Setenv("XDG_RUNTIME_DIR", home)
	login := func(secret string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(home, ".docker"), 0o700); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, w.host, base64.StdEncoding.EncodeToString([]byte("me:"+secret)))
		if err := os.WriteFile(filepath.Join(home, ".docker", "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Pull(t.Context(), ref, image.PullOptions{})
	if !errors.Is(err, compute.ErrDenied) || !strings.Contains(compute.Hint(err), "docker login "+w.host) {
		t.Errorf("without: %v; hint %q", err, compute.Hint(err))
	}
	login("wr0ng")
	if _, err := s.Pull(t.Context(), ref, image.PullOptions{}); !errors.Is(err, compute.ErrDenied) ||
		strings.Contains(fmt.Sprint(err, compute.Hint(err)), "wr0ng") {
		t.Errorf("wrong: %v", err)
	}
	login("s3cret")
	if _, err := s.Pull(t.Context(), ref, image.PullOptions{}); err != nil {
		t.Error(err)
	}
}

// cutting is an answer that ends its connection after so many bytes.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(b []byte) (int, error) {
	if len(b) > c.left {
		_, _ = c.ResponseWriter.Write(b[:c.left])
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(b)
	return c.ResponseWriter.Write(b)
}

// TestCutConnections puts a proxy between that cuts each answer in the middle: pulling goes on
// where it was.
func TestCutConnections(t *testing.T) {
	for _, ranges := range []bool{true, false} {
		t.Run(fmt.Sprintf("ranges %v", ranges), func(t *testing.T) {
			w, s := serve(t), open(t)
			img := imageOf(t, "", entriesLayer(t, file("big", noise(600<<10))), entriesLayer(t, file("small", "x")))
			ref := w.push(t, "cut", img)
			var cuts, sent atomic.Int64
			proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				req, _ := http.NewRequestWithContext(r.Context(), r.Method, w.URL+r.URL.Path, nil)
				req.Header = r.Header.Clone()
				req.Header.Del("Range")
				resp, err := http.DefaultTransport.RoundTrip(req)
				if err != nil {
					rw.WriteHeader(http.StatusBadGateway)
					return
				}
				defer resp.Body.Close()
				body, _ := io.ReadAll(resp.Body)
				for k, v := range resp.Header {
					rw.Header()[k] = v
				}
				status, size := resp.StatusCode, 250<<10
				if !isLayerOf(img, 0, r.URL.Path) || r.Method != http.MethodGet {
					rw.WriteHeader(status)
					_, _ = rw.Write(body)
					return
				}
				var from int
				if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); n == 1 && ranges && status == http.StatusOK {
					rw.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
					body, status = body[from:], http.StatusPartialContent
				} else if !ranges {
					size *= 1 + int(cuts.Load()) // else it would never end
				}
				rw.Header().Set("Content-Length", fmt.Sprint(len(body)))
				rw.WriteHeader(status)
				cuts.Add(1)
				c := &cutting{rw, size}
				defer func() { sent.Add(int64(size - c.left)) }()
				_, _ = c.Write(body)
			}))
			t.Cleanup(proxy.Close)
			ref = strings.Replace(ref, w.host, strings.TrimPrefix(proxy.URL, "http://"), 1)
			got, err := s.Pull(t.Context(), ref, image.PullOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if len(read(t, got, "big")) != 600<<10 || cuts.Load() < 3 {
				t.Errorf("%d connections", cuts.Load())
			}
		})
	}
}

// TestRegistryGoesDown takes the registry away in the middle of a layer: an error that says so,
// nothing half-made, and the next pull fetches only what was missing.
func TestRegistryGoesDown(t *testing.T) {
	w, s := serve(t), open(t, image.Options{Stall: 2 * time.Second})
	img := imageOf(t, "", entriesLayer(t, file("a", noise(100<<10))), entriesLayer(t, file("b", noise(400<<10))))
	ref := w.push(t, "down", img)
	firstHere := make(chan struct{})
	var down atomic.Bool
	w.intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !isLayerOf(img, 1, r.URL.Path) {
			return false
		}
		<-firstHere
		if !down.CompareAndSwap(false, true) {
			panic(http.ErrAbortHandler)
		}
		rw.Header().Set("Content-Length", fmt.Sprint(400<<10))
		_, _ = rw.Write(make([]byte, 1000))
		rw.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	p := &image.Progress{}
	go func() {
		for p.Ready.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		close(firstHere)
	}()
	_, err := s.Pull(t.Context(), ref, image.PullOptions{Progress: p})
	if !errors.Is(err, compute.ErrUnavailable) || compute.Hint(err) == "" {
		t.Fatalf(`err = %v; want error compute.ErrUnavailable and compute.Hint(err) != ""`, err)
	}
	if _, err := s.Find(ref); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("half an image is found: %v", err)
	}
	if l := leftovers(t, s); len(l) > 0 {
		t.Errorf("left: %q", l)
	}
	w.intercept(func(http.ResponseWriter, *http.Request) bool { return false })
	n := w.blobs.Load()
	if _, err := s.Pull(t.Context(), ref, image.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := w.blobs.Load() - n; got != 2 {
		t.Errorf("the second try fetched %d blobs; the configuration and one layer were missing", got)
	}
	w.CloseClientConnections()
	w.Close()
	if _, err := s.Pull(t.Context(), ref, image.PullOptions{}); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("gone: %v", err)
	}
	if _, err := s.Find(ref); err != nil {
		t.Errorf("what is here needs no registry: %v", err)
	}
}

func TestStalledRegistry(t *testing.T) {
	w, s := serve(t), open(t, image.Options{Stall: 100 * time.Millisecond})
	img := imageOf(t, "", entriesLayer(t, file("a", noise(100<<10))))
	ref := w.push(t, "stalled", img)
	whole := compressed(t, img, 0)
	var asked atomic.Int64
	stall := func(rw http.ResponseWriter, r *http.Request) bool {
		if !isLayerOf(img, 0, r.URL.Path) || r.Method != http.MethodGet || asked.Add(1) > 2 {
			return false
		}
		if r.Header.Get("Range") == "" {
			rw.Header().Set("Content-Length", fmt.Sprint(len(whole)))
			_, _ = rw.Write(whole[:1000])
			rw.(http.Flusher).Flush()
		}
		<-r.Context().Done()
		return true
	}
	w.intercept(stall)
	if _, err := s.Pull(t.Context(), ref, image.PullOptions{}); err != nil || asked.Load() != 3 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
	if err := s.Remove(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	w.intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		asked.Store(0)
		return stall(rw, r)
	})
	if _, err := s.Pull(t.Context(), ref, image.PullOptions{}); !errors.Is(err, compute.ErrUnavailable) ||
		!strings.Contains(err.Error(), "sends nothing") {
		t.Errorf(`err = %v; want error compute.ErrUnavailable and err.Error() with "sends nothing"`, err)
	}
}

// TestCorruption changes bytes where images come from.
func TestCorruption(t *testing.T) {
	img := imageOf(t, "", entriesLayer(t, file("a", noise(50<<10))), entriesLayer(t, file("b", noise(50<<10))))
	layers, _ := img.Layers()
	d, _ := layers[1].Digest()
	m, _ := img.Digest()
	c, _ := img.ConfigName()
	flip := func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 0x40; return b }
	cut := func(b []byte) []byte { return b[:len(b)-100] }
	grow := func(b []byte) []byte { return append(bytes.Clone(b), "more"...) }
	for _, what := range []v1.Hash{d, m, c} {
		for name, change := range map[string]func([]byte) []byte{"flipped": flip, "cut": cut, "grown": grow} {
			t.Run(name+" "+what.Hex[:6], func(t *testing.T) {
				dir := t.TempDir()
				path, err := layout.Write(dir, empty.Index)
				if err != nil {
					t.Fatal(err)
				}
				if err := path.AppendImage(img); err != nil {
					t.Fatal(err)
				}
				blob := filepath.Join(dir, "blobs", "sha256", what.Hex)
				good, err := os.ReadFile(blob)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(blob, change(good), 0o600); err != nil {
					t.Fatal(err)
				}
				s := open(t)
				_, err = s.Pull(t.Context(), "oci:"+dir, image.PullOptions{})
				if !errors.Is(err, compute.ErrFailed) ||
					!strings.Contains(err.Error(), "corrupt") && !strings.Contains(err.Error(), "ended after") {
					t.Errorf(
						"err = %v"+
							`; want error compute.ErrFailed and (err.Error() with "corrupt" or err.Error() with "ended `+
							`after")`,
						err,
					)
				}
				if all, err := s.List(); err != nil || len(all) > 0 {
					t.Errorf("all = %v err = %v; want no error and len(all) <= 0", all, err)
				}
				if l := leftovers(t, s); len(l) > 0 {
					t.Errorf("left: %q", l)
				}
				if err := os.WriteFile(blob, good, 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err = s.Pull(t.Context(), "oci:"+dir, image.PullOptions{}); err != nil {
					t.Errorf("mended: %v", err)
				}
			})
		}
	}
	t.Run("from a registry", func(t *testing.T) {
		w, s := serve(t), open(t)
		ref := w.push(t, "corrupt", img)
		for _, path := range []string{"/blobs/" + d.String(), "/blobs/" + c.String()} {
			w.intercept(func(rw http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, path) {
					return false
				}
				var b []byte
				if strings.HasSuffix(path, c.String()) {
					b, _ = img.RawConfigFile()
				} else {
					b = compressed(t, img, 1)
				}
				b = flip(b)
				rw.Header().Set("Content-Length", fmt.Sprint(len(b)))
				_, _ = rw.Write(b)
				return true
			})
			if _, err := s.Pull(t.Context(), ref, image.PullOptions{}); !errors.Is(err, compute.ErrFailed) ||
				errors.Is(err, compute.ErrUnavailable) {
				t.Errorf("%s: err = %v; want error compute.ErrFailed and !error compute.ErrUnavailable", path, err)
			}
		}
		if all, err := s.List(); err != nil || len(all) > 0 {
			t.Errorf("all = %v err = %v; want no error and len(all) <= 0", all, err)
		}
	})
	t.Run("another layer's name", func(t *testing.T) {
		// The configuration says that a layer holds something else than it does: both are whole,
		// and they do not belong together.
		other := imageOf(t, "", entriesLayer(t, file("a", "one")))
		cf, _ := other.ConfigFile()
		cf = cf.DeepCopy()
		cf.RootFS.DiffIDs[0].Hex = strings.Repeat("ab", 32)
		file := filepath.Join(t.TempDir(), "lying.tar")
		lyingArchive(t, file, other, cf)
		s := open(t)
		_, err := s.Pull(t.Context(), file, image.PullOptions{})
		if !errors.Is(err, compute.ErrFailed) || !strings.Contains(err.Error(), "corrupt") {
			t.Errorf(`err = %v; want error compute.ErrFailed and err.Error() with "corrupt"`, err)
		}
		if l, _ := filepath.Glob(filepath.Join(s.Dir(), "layers/*")); len(l) > 0 {
			t.Errorf("left: %q", l)
		}
	})
}

// TestDiskFull pulls onto a disk that is too small: an error that says so, and nothing half-made;
// with room it goes on.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("disk full: only root may mount a small disk")
	}
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=2m,mode=0700"); err != nil {
		t.Skipf("disk full: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(small, unix.MNT_DETACH) })
	w, s := serve(t), openIn(t, filepath.Join(small, "images"), image.Options{Jobs: 1})
	ref := w.push(t, "big", imageOf(t, "", entriesLayer(t, file("a", "fits")), entriesLayer(t, file("b", noise(3<<20)))))
	_, err := s.Pull(t.Context(), ref, image.PullOptions{})
	if !errors.Is(err, compute.ErrFailed) || !strings.Contains(err.Error(), "is full") || !strings.Contains(compute.Hint(err), "gc") {
		t.Errorf(`err = %v; want error compute.ErrFailed and err.Error() with "is full" and compute.Hint(err) with "gc"`, err)
	}
	if _, err := s.Find(ref); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("err = %v; want error compute.ErrNotFound", err)
	}
	if l := leftovers(t, s); len(l) > 0 {
		t.Errorf("left: %q", l)
	}
	if err := unix.Mount("tmpfs", small, "tmpfs", unix.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatal(err)
	}
	n := w.blobs.Load()
	if _, err := s.Pull(t.Context(), ref, image.PullOptions{}); err != nil {
		t.Error(err)
	}
	if got := w.blobs.Load() - n; got != 2 {
		t.Errorf("%d blobs were fetched again", got)
	}
}
