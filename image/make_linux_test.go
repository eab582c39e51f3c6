package image_test

import (
	"archive/tar"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	server "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/layer"
	"github.com/hostler-project/hostler/image/registry"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "child-") {
		child(os.Args[1:])
		return
	}
	goleak.VerifyTestMain(m)
}

// entry is one of a test's archive.
type entry struct {
	tar.Header
	body string
}

var day = time.Date(2024, 2, 3, 4, 5, 6, 789e6, time.UTC)

func file(name, body string) entry {
	return entry{tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg, ModTime: day}, body}
}
func dir(name string) entry {
	return entry{tar.Header{Name: name + "/", Mode: 0o755, Typeflag: tar.TypeDir, ModTime: day}, ""}
}
func symlink(name, to string) entry {
	return entry{tar.Header{Name: name, Linkname: to, Mode: 0o777, Typeflag: tar.TypeSymlink, ModTime: day}, ""}
}
func hardlink(name, to string) entry {
	return entry{tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeLink, ModTime: day}, ""}
}

// archive makes a tar archive of entries.
func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := e.Header
		h.Size = int64(len(e.body))
		h.Format = tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// layerOf makes a layer of an archive, compressed by gzip or as c says.
func layerOf(t testing.TB, tarball_ []byte, c ...compression.Compression) v1.Layer {
	t.Helper()
	opts := []tarball.LayerOption{}
	if len(c) > 0 {
		opts = append(opts, tarball.WithCompression(c[0]))
		if c[0] == compression.ZStd {
			opts = append(opts, tarball.WithMediaType(types.OCILayerZStd))
		}
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(tarball_)), nil }, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func entriesLayer(t testing.TB, entries ...entry) v1.Layer {
	t.Helper()
	return layerOf(t, archive(t, entries...))
}

// imageOf makes an image for arch, "" being this machine's, of layers.
func imageOf(t testing.TB, arch string, layers ...v1.Layer) v1.Image {
	t.Helper()
	if arch == "" {
		arch = runtime.GOARCH
	}
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	cf, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture = "linux", arch
	cf.Created = v1.Time{Time: day.Truncate(time.Second)}
	cf.Config = v1.Config{
		User: "web:data", Env: []string{"A=1", "PATH=/bin"}, Entrypoint: []string{"/bin/sh", "-c"},
		Cmd: []string{"echo hi"}, WorkingDir: "/srv",
		Labels: map[string]string{"k": "v"}, ExposedPorts: map[string]struct{}{"80/tcp": {}, "443/tcp": {}},
		Volumes: map[string]struct{}{"/data": {}}, StopSignal: "SIGINT",
	}
	if img, err = mutate.ConfigFile(img, cf); err != nil {
		t.Fatal(err)
	}
	return img
}

// web is a registry for one test.
type web struct {
	*httptest.Server
	host  string
	blobs atomic.Int64 // fetched
	hook  atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
}

// serve starts a registry; its hook may answer in its place.
func serve(t testing.TB) *web {
	t.Helper()
	w := &web{}
	inner := server.New(server.Logger(nopLogger()))
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if f := w.hook.Load(); f != nil && (*f)(rw, r) {
			return
		}
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			w.blobs.Add(1)
		}
		inner.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.Close)
	w.host = strings.TrimPrefix(w.URL, "http://")
	return w
}

func (w *web) intercept(f func(http.ResponseWriter, *http.Request) bool) { w.hook.Store(&f) }

// push puts an image there and returns its name.
func (w *web) push(t testing.TB, as string, img v1.Image) string {
	t.Helper()
	ref, err := name.ParseReference(w.host + "/" + as)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	return ref.Name()
}

func open(t testing.TB, opt ...image.Options) *image.Store {
	t.Helper()
	return openIn(t, filepath.Join(t.TempDir(), "images"), opt...)
}

func openIn(t testing.TB, dir string, opt ...image.Options) *image.Store {
	t.Helper()
	t.Cleanup(func() { chmodAll(dir) })
	o := append(opt, image.Options{})[0]
	o.Registry = registry.Client{}
	s, err := image.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// chmodAll makes a tree removable for an ordinary user.
func chmodAll(dir string) {
	_ = filepath.WalkDir(dir, func(p string, d os.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
}

// read returns a file of an image, as its layers show it.
func read(t testing.TB, img image.Image, name string) string {
	t.Helper()
	b, err := layer.ReadIn(img.Dirs(), name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// compressed is a layer as a registry sends it.
func compressed(t testing.TB, img v1.Image, n int) []byte {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	r, err := layers[n].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// leftovers lists what a store should not hold when nothing is under way.
func leftovers(t testing.TB, s *image.Store) (out []string) {
	t.Helper()
	for _, pattern := range []string{"layers/new-*", "layers/old-*", "tmp/*"} {
		m, _ := filepath.Glob(filepath.Join(s.Dir(), pattern))
		out = append(out, m...)
	}
	return out
}
