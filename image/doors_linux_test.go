package image_test

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// tarDir packs a directory.
func tarDir(t testing.TB, dir, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func gzipFile(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(file + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return file + ".gz"
}

// plainDockerArchive writes what docker save wrote for years: layers that are not compressed, one
// of which is a link to another.
func plainDockerArchive(t testing.TB, file string, img v1.Image) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	config, _ := img.RawConfigFile()
	id, _ := img.ConfigName()
	var entries []entry
	var names []string
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		d, _ := l.DiffID()
		entries = append(
			entries, entry{tar.Header{Name: d.Hex + "/layer.tar", Typeflag: tar.TypeReg}, string(b)},
			entry{tar.Header{Name: d.Hex + "/json", Typeflag: tar.TypeReg}, "{}"},
		)
		names = append(names, d.Hex+"/layer.tar")
	}
	other := strings.Repeat("0123456789abcdef", 4)
	entries = append(entries, symlink(other+"/layer.tar", "../"+names[0]))
	names[0] = other + "/layer.tar"
	manifest, _ := json.Marshal([]any{map[string]any{"Config": id.Hex + ".json", "RepoTags": []string{"two:v1"}, "Layers": names}})
	entries = append(
		entries, entry{tar.Header{Name: id.Hex + ".json", Typeflag: tar.TypeReg}, string(config)},
		entry{tar.Header{Name: "manifest.json", Typeflag: tar.TypeReg}, string(manifest)},
	)
	if err := os.WriteFile(file, archive(t, entries...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serveDaemon answers as the docker daemon does for the images whose archives are given, on a unix
// socket.
func serveDaemon(t testing.TB, archives map[string]string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, _ := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/images/"))
		name, what := path[:max(0, strings.LastIndexByte(path, '/'))], path[strings.LastIndexByte(path, '/')+1:]
		file, ok := archives[name]
		switch {
		case !ok:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"message":"No such image: `+name+`"}`)
		case what == "json":
			_ = json.NewEncoder(w).Encode(map[string]string{"Os": "linux", "Architecture": runtime.GOARCH})
		default:
			http.ServeFile(w, r, file)
		}
	}))
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	return socket
}

// lyingArchive writes a docker archive of an image's layers with another configuration.
func lyingArchive(t testing.TB, file string, img v1.Image, cf *v1.ConfigFile) {
	t.Helper()
	config, err := json.Marshal(cf)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(config)
	id := hex.EncodeToString(sum[:])
	layers, _ := img.Layers()
	var entries []entry
	var names []string
	for i := range layers {
		b := compressed(t, img, i)
		names = append(names, fmt.Sprintf("%064d/layer.tar", i))
		entries = append(entries, entry{tar.Header{Name: names[i], Typeflag: tar.TypeReg}, string(b)})
	}
	manifest, _ := json.Marshal([]any{map[string]any{"Config": id + ".json", "Layers": names}})
	entries = append(
		entries, entry{tar.Header{Name: id + ".json", Typeflag: tar.TypeReg}, string(config)},
		entry{tar.Header{Name: "manifest.json", Typeflag: tar.TypeReg}, string(manifest)},
	)
	if err := os.WriteFile(file, archive(t, entries...), 0o600); err != nil {
		t.Fatal(err)
	}
}
