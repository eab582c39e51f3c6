//go:build linux

package sandbox_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	server "github.com/google/go-containerregistry/pkg/registry"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/sandbox"

	"github.com/hostler-project/hostler/image/registry"
)

// snapshots is on an image of busybox alone.
func snapshots(t *testing.T) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("snapshot: ", err)
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	base := filepath.Join(dir, "base.tar")
	tarball(t, base, []tar.Header{
		{Name: "bin/", Mode: 0o755, Typeflag: tar.TypeDir},
		{Name: "bin/busybox", Mode: 0o755, Typeflag: tar.TypeReg, Size: int64(len(program))},
		{Name: "bin/sh", Linkname: "busybox", Typeflag: tar.TypeSymlink},
		{Name: "etc/", Mode: 0o755, Typeflag: tar.TypeDir}, {Name: "etc/gone", Mode: 0o644, Typeflag: tar.TypeReg},
		{Name: "tmp/", Mode: 0o1777, Typeflag: tar.TypeDir},
	}, program)
	p := open(t, sandbox.Options{Dir: filepath.Join(dir, "computers"), Images: filepath.Join(dir, "images"), Image: base, Upper: "disk"})
	digest, err := p.ImageDigest(t.Context(), "", true)
	if err != nil || !strings.HasPrefix(digest, "sha256:") {
		t.Fatalf("the base: %q, %v", digest, err)
	}
	if _, err := p.ImageDigest(t.Context(), "localhost/built:1", false); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
	create(t, p, "first", "")
	in(t, p, "first", `set -e; busybox rm /etc/gone; echo made >/etc/made; busybox ln /etc/made /etc/linked; busybox mkdir -m 700 /deep; echo left >/tmp/left
		busybox mkfifo /deep/fifo; (exec busybox sleep 1000) & busybox chmod 4755 /etc/made; busybox cat /etc/machine-id >/deep/id`)
	name, err := p.Snapshot(t.Context(), "first", provider.ImageSpec{Name: "localhost/built:1", Labels: map[string]string{"k": "v"}})
	if err != nil || name != "localhost/built:1" {
		t.Fatalf("the image: %q, %v", name, err)
	}
	if err := p.Check(t.Context(), "first"); err == nil {
		t.Error("what ran in it runs on")
	}
	// as after a death before it was told
	if _, err := p.Snapshot(t.Context(), "first", provider.ImageSpec{Name: "localhost/built:1"}); err != nil {
		t.Errorf("once more: %v", err)
	}
	gone(t, p, "first")
	if now, err := p.ImageDigest(t.Context(), "localhost/built:1", false); err != nil || now == digest {
		t.Errorf("the image is %q, %v", now, err)
	}
	create(t, p, "second", name)
	defer gone(t, p, "second")
	got := in(t, p, "second", `set -e; test ! -e /etc/gone; test ! -e /tmp/left; busybox cat /etc/made; busybox stat -c '%a %u %h' /etc/linked /deep; test -p /deep/fifo
		test "$(busybox cat /deep/id)" != "$(busybox cat /etc/machine-id)"; busybox stat -c '%a' /tmp`)
	if want := "made\n4755 0 2\n700 0 2\n1777\n"; got != want {
		t.Errorf("in one that is made from it: %q, and should be %q", got, want)
	}
	away(t, filepath.Join(dir, "images"), name)
}

// away takes an image to a registry, and from there into another store, and has a sandbox made of
// it there.
func away(t *testing.T, images, name string) {
	web := httptest.NewServer(server.New(server.Logger(log.New(io.Discard, "", 0))))
	defer web.Close()
	there := strings.TrimPrefix(web.URL, "http://") + "/team/tool:1"
	store, err := image.Open(images, image.Options{Registry: registry.Client{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Export(t.Context(), store, name, there, registry.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	p := open(t, sandbox.Options{Dir: filepath.Join(t.TempDir(), "computers"), Image: there})
	create(t, p, "away", "")
	defer gone(t, p, "away")
	if got := in(t, p, "away", `test ! -e /etc/gone && busybox cat /etc/made /etc/linked`); got != "made\nmade\n" {
		t.Errorf("in one that is made elsewhere: %q", got)
	}
}

func TestSnapshot(t *testing.T) { snapshots(t) }

func TestSnapshotAsUser(t *testing.T) {
	if asUser(t) {
		snapshots(t)
	}
}

// TestSnapshotRefuses: what would not be whole is refused, and what is there goes on.
func TestSnapshotRefuses(t *testing.T) {
	host := open(t, sandbox.Options{Dir: t.TempDir(), Upper: "disk"})
	create(t, host, "host", "")
	defer gone(t, host, "host")
	if _, err := host.Snapshot(t.Context(), "host", provider.ImageSpec{Name: "x:1"}); !errors.Is(err, compute.ErrInvalid) ||
		!strings.Contains(err.Error(), "this machine's own") {
		t.Errorf("of the host's root: %v", err)
	}
	if _, err := host.ImageDigest(t.Context(), "", true); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("the digest of the host's root: %v", err)
	}
	if _, err := host.ImageDigest(t.Context(), t.TempDir(), true); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("the digest of a directory: %v", err)
	}
	if _, err := host.Snapshot(t.Context(), "none", provider.ImageSpec{Name: "x:1"}); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("of none: %v", err)
	}
	in(t, host, "host", "true")
}

func create(t *testing.T, p *sandbox.Provider, id compute.ID, image string) {
	t.Helper()
	if _, err := p.Create(t.Context(), compute.Spec{ID: id, Image: image}); err != nil {
		t.Fatal(err)
	}
}

// in runs a script in a sandbox and returns what it printed.
func in(t *testing.T, p *sandbox.Provider, id compute.ID, script string) string {
	t.Helper()
	c, err := p.Connect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out, errs bytes.Buffer
	exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"/bin/sh", "-c", script}, Stdout: &out, Stderr: &errs, Stay: true})
	if err != nil || exit.Status() != 0 {
		t.Fatalf(
			"%s: exit = %v, err = %v: out = %serrs = %s"+
				"; want no error and exit.Status() == 0",
			id, exit, err, out.String(), errs.String(),
		)
	}
	return out.String()
}

// tarball writes an archive; its one large file has body.
func tarball(t *testing.T, name string, all []tar.Header, body []byte) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	for _, h := range all {
		err = errors.Join(err, w.WriteHeader(&h))
		if h.Size > 0 {
			_, e := w.Write(body)
			err = errors.Join(err, e)
		}
	}
	if err := errors.Join(err, w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}
