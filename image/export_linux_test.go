package image_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/layer"
	"github.com/hostler-project/hostler/image/registry"
)

// packed is what packing a directory gives, entry by entry.
func packed(t *testing.T, dir string, owners bool) (names []string, all map[string]*tar.Header, raw []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := layer.Pack(t.Context(), dir, owners, &b); err != nil {
		t.Fatal(err)
	}
	all = map[string]*tar.Header{}
	for r := tar.NewReader(bytes.NewReader(b.Bytes())); ; {
		h, err := r.Next()
		if err == io.EOF {
			return names, all, b.Bytes()
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		all[h.Name] = h
	}
}

// TestPack unpacks a layer with one of each kind, packs it, and unpacks that: what comes of it
// packs to the same bytes.
func TestPack(t *testing.T) {
	owners := os.Geteuid() == 0
	first, second := filepath.Join(t.TempDir(), "1"), filepath.Join(t.TempDir(), "2")
	tars, _ := overlaid(t)
	for _, entries := range [][]byte{archive(t, everything()...), tars[1], tars[2]} {
		for _, d := range []string{first, second} {
			chmodAll(d)
			if err := errors.Join(os.RemoveAll(d), os.Mkdir(d, 0o755)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { chmodAll(d) })
		}
		if err := image.Unpack(t.Context(), first, bytes.NewReader(entries), owners); err != nil {
			t.Fatal(err)
		}
		names, _, raw := packed(t, first, owners)
		if !slices.Contains(names, "./") {
			t.Errorf("the root is not among %q", names)
		}
		if err := image.Unpack(t.Context(), second, bytes.NewReader(raw), owners); err != nil {
			t.Fatal(err)
		}
		if _, _, again := packed(t, second, owners); !bytes.Equal(raw, again) {
			t.Errorf("%d bytes packed, %d when packed again, and they are not the same", len(raw), len(again))
		}
	}
}

func TestPackAs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("whiteouts: only root makes them outside of a user name space")
	}
	d := t.TempDir()
	layer := archive(
		t, dir("o"), file("o/.wh..wh..opq", ""), file("o/in", "x"), file(".wh.gone", ""), file("a", "text"),
		hardlink("b", "a"), file("mine", "x"),
	)
	if err := image.Unpack(t.Context(), d, bytes.NewReader(layer), true); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(d, "mine"), 33, 44); err != nil {
		t.Fatal(err)
	}
	names, all, _ := packed(t, d, true)
	if want := []string{"./", "a", "b", ".wh.gone", "mine", "o/", "o/.wh..wh..opq", "o/in"}; !slices.Equal(names, want) {
		t.Errorf("packed %q, want %q", names, want)
	}
	if all["b"].Typeflag != tar.TypeLink || all["b"].Linkname != "a" {
		t.Errorf("the second name of a file is %+v", all["b"])
	}
	if all["mine"].Uid != 33 || all["mine"].Gid != 44 {
		t.Errorf("owner %d:%d", all["mine"].Uid, all["mine"].Gid)
	}
	if _, all, _ = packed(t, d, false); all["mine"].Uid != 0 {
		t.Errorf("without owners a file is %d's", all["mine"].Uid)
	}
}

// TestExport takes an image out by each door and in again elsewhere: it shows the same files and
// says the same of itself.
func TestExport(t *testing.T) {
	tars, want := overlaid(t)
	w, s := serve(t), open(t)
	ref := w.push(t, "made", imageOf(t, "", layerOf(t, tars[0]), layerOf(t, tars[1]), layerOf(t, tars[2])))
	img, err := s.Pull(t.Context(), ref, image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	digests := map[string]bool{}
	for _, dest := range []string{
		w.host + "/other:1", "oci:" + out + "/layout:one", "oci:" + out + "/layout:two",
		"oci-archive:" + out + "/a.tar:t", out + "/b.tar",
	} {
		t.Run(dest, func(t *testing.T) {
			digest, err := registry.Export(t.Context(), s, ref, dest, registry.ExportOptions{})
			if err != nil {
				t.Fatal(err)
			}
			digests[digest] = true
			got, err := open(t).Pull(t.Context(), dest, image.PullOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Manifest != digest {
				t.Errorf("it is there as %s, and was said to be %s", got.Manifest, digest)
			}
			if got.Config.User != img.Config.User || !slices.Equal(got.Config.Entrypoint, img.Config.Entrypoint) ||
				!slices.Equal(got.Config.ExposedPorts, img.Config.ExposedPorts) || !got.Built.Equal(img.Built) {
				t.Errorf("it says %+v of itself, and said %+v", got.Config, img.Config)
			}
			for _, line := range want {
				name, text, _ := strings.Cut(line, "=")
				if has := read(t, got, name); has != text {
					t.Errorf("%s reads %q, want %q", name, has, text)
				}
			}
			for _, name := range []string{"d/b", "o/a", "f", "gone/x", "back/old"} {
				if _, err := layer.ReadIn(got.Dirs(), name); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s: err = %v; want error os.ErrNotExist", name, err)
				}
			}
		})
	}
	if len(digests) != 1 {
		t.Errorf("the same image went out under the digests %v", digests)
	}
	t.Run("for docker", func(t *testing.T) {
		if _, err := registry.Export(t.Context(), s, ref, "docker-archive:"+out+"/d.tar:mine:2", registry.ExportOptions{}); err != nil {
			t.Fatal(err)
		}
		m, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(out + "/d.tar") })
		if err != nil || len(m) != 1 || !slices.Equal(m[0].RepoTags, []string{"mine:2"}) {
			t.Errorf(`m = %+v err = %v; want no error and len(m) == 1 and m[0].RepoTags == []string{"mine:2"}`, m, err)
		}
		if got, err := open(t).Pull(
			t.Context(), "docker-archive:"+out+"/d.tar:mine:2", image.PullOptions{},
		); err != nil || read(t, got, "d/a") != "3" {
			t.Error(err)
		}
	})
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if users, err := s.Users(img.Digest); err != nil || len(users) > 0 {
		t.Errorf("still used by %q %v", users, err)
	}
}

// TestLayoutDiskFull exports to a layout on a disk that is full at one step after the other: what
// was there stays, and with room it goes on.
func TestLayoutDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("disk full: only root may mount a small disk")
	}
	w, s := serve(t), open(t)
	ref := w.push(t, "made", two(t))
	if _, err := s.Pull(t.Context(), ref, image.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	page := int64(os.Getpagesize())
	for pages := int64(0); ; pages++ {
		small := t.TempDir()
		if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
			t.Skipf("disk full: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(small, unix.MNT_DETACH) })
		lay, filler := filepath.Join(small, "lay"), filepath.Join(small, "filler")
		other := w.push(t, "other", imageOf(t, "", entriesLayer(t, file("other", "x"))))
		if _, err := s.Pull(t.Context(), other, image.PullOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := registry.Export(t.Context(), s, other, "oci:"+lay+":before", registry.ExportOptions{}); err != nil {
			t.Fatal(err)
		}
		var st unix.Statfs_t
		if err := unix.Statfs(small, &st); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filler, make([]byte, int64(st.Bavail)*st.Bsize-pages*page), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := registry.Export(t.Context(), s, ref, "oci:"+lay+":made", registry.ExportOptions{})
		if err != nil && (!strings.Contains(err.Error(), "the disk of "+lay) || strings.Contains(compute.Hint(err), "gc")) {
			t.Errorf("with %d pages: %v, %s", pages, err, compute.Hint(err))
		}
		if _, err := open(t).Pull(t.Context(), "oci:"+lay+":before", image.PullOptions{}); err != nil {
			t.Errorf("with %d pages, what was there: %v", pages, err)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		if _, err := registry.Export(t.Context(), s, ref, "oci:"+lay+":made", registry.ExportOptions{}); err != nil {
			t.Errorf("with room, after %d pages: %v", pages, err)
		}
		if _, err := open(t).Pull(t.Context(), "oci:"+lay+":made", image.PullOptions{}); err != nil {
			t.Errorf("with room, after %d pages: %v", pages, err)
		}
		if err == nil {
			if pages < 3 {
				t.Errorf("it takes %d pages only", pages)
			}
			return
		}
	}
}

// TestLayoutTogether: many export to one layout at once, and all is in it.
func TestLayoutTogether(t *testing.T) {
	w, s := serve(t), open(t)
	ref := w.push(t, "made", two(t))
	if _, err := s.Pull(t.Context(), ref, image.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	lay := filepath.Join(t.TempDir(), "lay")
	var all sync.WaitGroup
	for _, tag := range strings.Fields("a b c d e f g h i j") {
		all.Go(func() {
			if _, err := registry.Export(t.Context(), s, ref, "oci:"+lay+":"+tag, registry.ExportOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	index, err := os.ReadFile(filepath.Join(lay, "index.json"))
	if n := strings.Count(string(index), "image.ref.name"); err != nil || n != 10 {
		t.Errorf("%d of 10 are there, %v", n, err)
	}
}

func TestExportRefuses(t *testing.T) {
	w, s := serve(t), open(t)
	ref := w.push(t, "made", two(t))
	if _, err := s.Pull(t.Context(), ref, image.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(t.TempDir(), "there.tar")
	if err := os.WriteFile(there, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ref, dest string
		kind      error
	}{
		{ref, there, compute.ErrConflict},
		{ref, "oci-archive:" + there, compute.ErrConflict},
		{ref, "dir:" + filepath.Dir(there), compute.ErrInvalid},
		{ref, "docker-daemon:x", compute.ErrInvalid},
		{ref, "docker-archive:" + there + "2:UPPER", compute.ErrInvalid},
		{ref, filepath.Join(there, "below.tar"), compute.ErrInvalid},
		{ref, filepath.Join(there+"-none", "below.tar"), compute.ErrFailed},
		{"not-here", there + "3", compute.ErrNotFound},
	} {
		if _, err := registry.Export(t.Context(), s, c.ref, c.dest, registry.ExportOptions{}); !errors.Is(err, c.kind) {
			t.Errorf("%s to %s: %v, want %v", c.ref, c.dest, err, c.kind)
		}
	}
	if b, _ := os.ReadFile(there); string(b) != "precious" {
		t.Errorf("the file that was there holds %q", b)
	}
	if files, _ := os.ReadDir(filepath.Dir(there)); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
	if _, err := registry.Export(t.Context(), s, ref, there, registry.ExportOptions{Replace: true}); err != nil {
		t.Error(err)
	}
	if _, err := open(t).Pull(t.Context(), there, image.PullOptions{}); err != nil {
		t.Error(err)
	}
}

func TestTag(t *testing.T) {
	w, s := serve(t), open(t)
	ref := w.push(t, "made", two(t))
	img, err := s.Pull(t.Context(), ref, image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Tag(t.Context(), ref, "mine")
	if err != nil || got.Digest != img.Digest {
		t.Fatalf("got = %+v err = %v; want no error and got.Digest == img.Digest", got, err)
	}
	if got, err = s.Find("mine"); err != nil || got.Digest != img.Digest {
		t.Errorf("found %+v %v", got, err)
	}
	if err := s.Remove(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if _, err = s.Find("mine"); err != nil {
		t.Errorf("gone with its other name: %v", err)
	}
	for _, as := range []string{"dir:/tmp", "./x.tar", "mine@sha256:" + strings.Repeat("0", 64), "Upper", ""} {
		if _, err := s.Tag(t.Context(), "mine", as); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("as %q: %v", as, err)
		}
	}
}
