package subprocess_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	server "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/registry"
	"github.com/hostler-project/hostler/image/subprocess"
)

// TestMain has this program be the other one, too.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == subprocess.Word {
		os.Exit(subprocess.Serve(os.Stdin, os.Stdout, registry.Client{}))
	}
	os.Exit(m.Run())
}

// other is a registry in processes of this program. last is the process of the last call.
func other(t *testing.T) (r subprocess.Registry, last func() *exec.Cmd) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var cmd *exec.Cmd
	return subprocess.Registry{Command: func(ctx context.Context, args ...string) (*exec.Cmd, error) {
		cmd = exec.CommandContext(ctx, exe, args...)
		return cmd, nil
	}}, func() *exec.Cmd { return cmd }
}

func open(t *testing.T, by image.Registry) *image.Store {
	t.Helper()
	s, err := image.Open(filepath.Join(t.TempDir(), "images"), image.Options{Registry: by})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// alike compares two errors in all that callers look at.
func alike(t *testing.T, what string, got, want error) {
	t.Helper()
	if (got == nil) != (want == nil) {
		t.Errorf("%s: got the error %v, want %v", what, got, want)
		return
	}
	if got == nil {
		return
	}
	var g, w *compute.Error
	if !errors.As(got, &g) || !errors.As(want, &w) {
		t.Errorf("%s: got the error %#v, want one with a kind like %#v", what, got, want)
		return
	}
	if api.Text(got) != api.Text(want) || g.Op != w.Op || g.ID != w.ID || g.Hint != w.Hint || g.Kind != w.Kind {
		t.Errorf("%s: got\n%q, %+v, want\n%q, %+v", what, api.Text(got), g, api.Text(want), w)
	}
}

// TestNames: names are read as in one process, right ones and wrong ones.
func TestNames(t *testing.T) {
	by, _ := other(t)
	far, near := open(t, by), open(t, registry.Client{})
	for _, ref := range []string{
		"debian", "debian:12", "docker.io/library/debian", "docker://localhost:5000/team/tool:1", "docker-daemon:tool",
		"debian@sha256:" + strings.Repeat("a", 64), "debian:12@sha256:" + strings.Repeat("a", 64), "10.0.0.1:5000/x",
		"Upper", "a b", "x:", "docker://", "docker-daemon:Nope", "http://x/y", "x@sha256:1", strings.Repeat("y", 300),
	} {
		got, err := far.Parse(ref)
		want, wrong := near.Parse(ref)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, want %+v", ref, got, want)
		}
		alike(t, ref, err, wrong)
		_, err = far.Find(ref)
		_, wrong = near.Find(ref)
		alike(t, "find "+ref, err, wrong)
	}
	if _, err := by.Login(t.Context(), "no.such.host.invalid/x"); err != nil {
		t.Errorf("a login that is not there: got the error %v, want none", err)
	}
}

// TestFetch: an image comes into the store as in one process, with its user, and so do errors.
func TestFetch(t *testing.T) {
	inner := server.New(server.Logger(log.New(io.Discard, "", 0)))
	w := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/private/") {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		inner.ServeHTTP(rw, r)
	}))
	defer w.Close()
	host := strings.TrimPrefix(w.URL, "http://")
	push(t, host+"/team/tool:1")
	by, _ := other(t)
	far, near := open(t, by), open(t, registry.Client{})
	dir := t.TempDir()
	got, err := far.Take(t.Context(), host+"/team/tool:1", dir, image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := near.Take(t.Context(), host+"/team/tool:1", dir, image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Digest != want.Digest || got.Name != want.Name || got.Manifest != want.Manifest || len(got.Layers) != len(want.Layers) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if users, err := far.Users(got.Digest); err != nil || len(users) != 1 || users[0] != dir {
		t.Errorf("its users are %v, %v, want %s", users, err, dir)
	}
	if here, err := far.Find(host + "/team/tool:1"); err != nil || here.Digest != got.Digest {
		t.Errorf("found %+v, %v, want it", here, err)
	}
	for _, ref := range []string{
		host + "/team/tool:2", host + "/team/tol:1", host + "/private/x:1", "127.0.0.1:1/nobody/there:1",
	} {
		_, err := far.Pull(t.Context(), ref, image.PullOptions{})
		_, wrong := near.Pull(t.Context(), ref, image.PullOptions{})
		alike(t, ref, err, wrong)
	}
	arm := image.PullOptions{Platform: image.Platform{OS: "plan9", Arch: "mips"}}
	_, err = far.Pull(t.Context(), host+"/team/tool:1", arm)
	_, wrong := near.Pull(t.Context(), host+"/team/tool:1", arm)
	alike(t, "another platform", err, wrong)
}

func push(t *testing.T, ref string) {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l, err := random.Layer(1000, "application/vnd.docker.image.rootfs.diff.tar.gzip")
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, l); err != nil {
			t.Fatal(err)
		}
	}
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c = c.DeepCopy()
	c.OS, c.Architecture = "linux", runtime.GOARCH
	if img, err = mutate.ConfigFile(img, c); err != nil {
		t.Fatal(err)
	}
	r, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(r, img); err != nil {
		t.Fatal(err)
	}
}

// TestGivesUp: the end of the context ends the process at once.
func TestGivesUp(t *testing.T) {
	asked, done := make(chan bool, 10), make(chan bool)
	w := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- true
		select {
		case <-r.Context().Done():
		case <-done:
		}
	}))
	defer w.Close()
	defer close(done)
	by, last := other(t)
	s := open(t, by)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-asked
		cancel()
	}()
	_, err := s.Pull(ctx, strings.TrimPrefix(w.URL, "http://")+"/x/y:1", image.PullOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got the error %v, want that the caller gave up", err)
	}
	if p := last().ProcessState; p == nil {
		t.Error("the process has not ended")
	}
}

// TestMissing: what is wrong with the other program is said.
func TestMissing(t *testing.T) {
	for what, line := range map[string][]string{
		"none": {"/no/such/program"}, "it fails": {"false"}, "it says nothing": {"true"}, "it says something else": {"echo", "hello"},
	} {
		s := open(t, subprocess.Registry{Command: func(ctx context.Context, _ ...string) (*exec.Cmd, error) {
			return exec.CommandContext(ctx, line[0], line[1:]...), nil
		}})
		begin := time.Now()
		if _, err := s.Parse("debian"); !errors.Is(err, compute.ErrUnavailable) || time.Since(begin) > 10*time.Second {
			t.Errorf("%s: got the error %v after %v, want it to be unavailable at once", what, err, time.Since(begin))
		}
	}
}
