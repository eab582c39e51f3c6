package image_test

import (
	"context"
	"errors"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/layer"
)

func nopLogger() *log.Logger { return log.New(io.Discard, "", 0) }

func two(t testing.TB) v1.Image {
	return imageOf(t, "",
		entriesLayer(t, dir("etc"), file("etc/a", "one"), file("etc/b", "two"), dir("gone"), file("gone/x", "x")),
		entriesLayer(t, dir("etc"), file("etc/a", "ONE"), file(".wh.gone", "")))
}

func TestPullFromARegistry(t *testing.T) {
	w, s := serve(t), open(t)
	img := two(t)
	ref := w.push(t, "lib/two:v1", img)
	got, err := s.Pull(t.Context(), ref, image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want, _ := img.ConfigName()
	digest, _ := img.Digest()
	if got.Name != ref || got.Digest != want.String() || got.Manifest != digest.String() || len(got.Layers) != 2 ||
		got.Size != 10 || got.Platform.OS != "linux" {
		t.Errorf("got = %+v", got)
	}
	if c := got.Config; c.User != "web:data" || c.WorkingDir != "/srv" || c.StopSignal != "SIGINT" ||
		!reflect.DeepEqual(c.ExposedPorts, []string{"443/tcp", "80/tcp"}) ||
		!reflect.DeepEqual(
			c.Entrypoint, []string{"/bin/sh", "-c"},
		) || c.Labels["k"] != "v" || !reflect.DeepEqual(c.Volumes, []string{"/data"}) || len(c.Env) != 2 {
		t.Errorf("c = %+v", c)
	}
	if a, b := read(t, got, "etc/a"), read(t, got, "etc/b"); a != "ONE" || b != "two" {
		t.Errorf(`a = %q b = %q; want a == "ONE" and b == "two"`, a, b)
	}
	if _, err := layer.ReadIn(got.Dirs(), "gone/x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("gone/x: %v", err)
	}
	found, err := s.Find(ref)
	if err != nil || found.Digest != got.Digest || !found.Built.Equal(day.Truncate(1e9)) {
		t.Errorf(
			"found = %+v err = %v"+
				"; want no error and found.Digest == got.Digest and found.Built.Equal(day.Truncate(1e9))",
			found, err,
		)
	}
	for _, by := range []string{got.Digest, got.Digest[:20], got.Manifest, "docker://" + ref} {
		if f, err := s.Find(by); err != nil || f.Digest != got.Digest {
			t.Errorf("by %s: %v", by, err)
		}
	}
	n := w.blobs.Load()
	if _, err := s.Pull(t.Context(), ref, image.PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if more := w.blobs.Load() - n; more != 1 {
		t.Errorf("a second pull fetched %d blobs, where the configuration alone would do", more)
	}
	if l := leftovers(t, s); len(l) > 0 {
		t.Errorf("left: %q", l)
	}
	if _, err := s.Pull(t.Context(), w.host+"/lib/two:v9", image.PullOptions{}); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("no such tag: %v", err)
	}
	for _, typed := range []string{w.host + "/lib/two:v9", w.host + "/lib/tow:v1"} {
		_, err := s.Find(typed)
		_, bad := s.Pull(t.Context(), typed, image.PullOptions{})
		for _, err := range []error{err, bad} {
			if hint := compute.Hint(err); !strings.HasPrefix(hint, "did you mean "+ref+"? If not: ") {
				t.Errorf("%s: %v, hint: %s", typed, err, hint)
			}
		}
	}
}

// TestEveryDoor pulls one image by each way in, and finds it to be the same.
func TestEveryDoor(t *testing.T) {
	w, s, tmp := serve(t), open(t), t.TempDir()
	img := two(t)
	config, _ := img.ConfigName()
	path, err := layout.Write(filepath.Join(tmp, "layout"), empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "v1"})); err != nil {
		t.Fatal(err)
	}
	tag, _ := name.NewTag("two:v1")
	saved := filepath.Join(tmp, "saved.tar")
	if err := tarball.WriteToFile(saved, tag, img); err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(tmp, "oci.tar")
	tarDir(t, filepath.Join(tmp, "layout"), packed)
	gz := gzipFile(t, saved)
	plain := filepath.Join(tmp, "plain.tar")
	plainDockerArchive(t, plain, img)
	socket := serveDaemon(t, map[string]string{"two:v1": plain})
	for _, ref := range []string{
		w.push(t, "two:v1", img), "oci:" + tmp + "/layout", "oci:" + tmp + "/layout:v1", tmp + "/layout",
		"docker-archive:" + saved, "docker-archive:" + saved + ":two:v1",
		saved, gz, plain, "oci-archive:" + packed, packed, gzipFile(t, packed), "docker-daemon:two:v1",
	} {
		t.Run(strings.ReplaceAll(strings.TrimPrefix(ref, tmp), "/", "_"), func(t *testing.T) {
			fresh := open(t, image.Options{DockerSocket: socket})
			for _, s := range []*image.Store{s, fresh} {
				s := s
				if s != fresh {
					s = openIn(t, s.Dir(), image.Options{DockerSocket: socket})
				}
				got, err := s.Pull(t.Context(), ref, image.PullOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if got.Digest != config.String() || read(t, got, "etc/a") != "ONE" {
					t.Errorf(`got = %+v; want got.Digest == config.String() and read(t, got, "etc/a") == "ONE"`, got)
				}
				if found, err := s.Find(ref); err != nil || found.Digest != got.Digest {
					t.Errorf("found = %+v err = %v; want no error and found.Digest == got.Digest", found, err)
				}
				if l := leftovers(t, s); len(l) > 0 {
					t.Errorf("left: %q", l)
				}
			}
		})
	}
	all, err := s.List()
	if err != nil || len(all) < 8 {
		t.Errorf("len(all) = %d err = %v; want no error and len(all) >= 8", len(all), err)
	}
}

func TestRootFileSystems(t *testing.T) {
	s, tmp := open(t), t.TempDir()
	tarred := filepath.Join(tmp, "root.tar")
	if err := os.WriteFile(tarred, archive(t, dir("."), dir("./etc"), file("./etc/a", "one")), 0o600); err != nil {
		t.Fatal(err)
	}
	var digests []string
	refs := []string{tarred, gzipFile(t, tarred)}
	for program, end := range map[string]string{"xz": ".xz", "bzip2": ".bz2", "zstd": ".zst"} {
		if out, err := exec.Command(program, "-k", tarred).CombinedOutput(); err != nil {
			t.Logf("%s: %v %s", program, err, out)
			continue
		}
		refs = append(refs, tarred+end)
	}
	for _, ref := range refs {
		p := &image.Progress{}
		got, err := s.Pull(t.Context(), ref, image.PullOptions{Progress: p})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Layers) != 1 || read(t, got, "etc/a") != "one" || p.Done.Load() != p.Size.Load() || p.Ready.Load() != 1 {
			t.Errorf("%+v, %d of %d", got, p.Done.Load(), p.Size.Load())
		}
		digests = append(digests, got.Digest)
	}
	if slices.Sort(digests); digests[0] != digests[len(digests)-1] {
		t.Errorf("one archive, compressed or not: %q", digests)
	}
	// A changed archive is another image, and the old one is not found by its name.
	if err := os.WriteFile(tarred, archive(t, dir("."), dir("./etc"), file("./etc/a", "other")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find(tarred); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("changed: %v", err)
	}
	got, err := s.Pull(t.Context(), tarred, image.PullOptions{})
	if err != nil || read(t, got, "etc/a") != "other" {
		t.Errorf(`err = %v; want no error and read(t, got, "etc/a") == "other"`, err)
	}
	for name, text := range map[string]string{
		"cut.tar.gz": "\x1f\x8b\x08\x00\x00", "cut.tar.xz": "\xfd7zXZ\x00\x00", "cut.tar.zst": "\x28\xb5\x2f\xfd\x00",
		"text.tar": strings.Repeat("text", 1000),
	} {
		file := filepath.Join(tmp, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Pull(t.Context(), file, image.PullOptions{}); !errors.Is(err, compute.ErrFailed) {
			t.Errorf("%s: err = %v; want error compute.ErrFailed", name, err)
		}
		if l := leftovers(t, s); len(l) > 0 {
			t.Errorf("%s left %q", name, l)
		}
	}
	root := filepath.Join(tmp, "dir")
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{root, "dir:" + root} {
		got, err := s.Take(t.Context(), ref, tmp, image.PullOptions{})
		if err != nil || got.Digest != "" || got.Dirs()[0] != root || got.Name != "dir:"+root {
			t.Errorf(
				"got = %+v err = %v"+
					`; want no error and got.Digest == "" and got.Dirs()[0] == root and got.Name == "dir:"+root`,
				got, err,
			)
		}
		if err := s.Release(got.Digest, tmp); err != nil {
			t.Error(err)
		}
	}
	if err := s.Remove(t.Context(), root); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("a directory of the user's was removed: %v", err)
	}
	for ref, kind := range map[string]error{
		root + "/none": compute.ErrNotFound, tmp + "/none.tar": compute.ErrNotFound, "oci:": compute.ErrInvalid,
		"UPPER": compute.ErrInvalid,
		"":      compute.ErrInvalid, "a b": compute.ErrInvalid, "dir:" + tarred: compute.ErrInvalid,
		"docker-archive:" + tarred: compute.ErrFailed, "oci:" + root: compute.ErrInvalid,
	} {
		if _, err := s.Pull(t.Context(), ref, image.PullOptions{}); !errors.Is(err, kind) {
			t.Errorf("%q: %v, want %v", ref, err, kind)
		}
	}
}

func TestCompressions(t *testing.T) {
	w, s := serve(t), open(t)
	for n, c := range map[string]compression.Compression{"gzip": compression.GZip, "zstd": compression.ZStd, "none": compression.None} {
		img := imageOf(t, "", layerOf(t, archive(t, file("how", n)), c))
		got, err := s.Pull(t.Context(), w.push(t, n, img), image.PullOptions{})
		if err != nil || read(t, got, "how") != n {
			t.Errorf(`%s: err = %v; want no error and read(t, got, "how") == n`, n, err)
		}
	}
}

func TestPlatforms(t *testing.T) {
	w, s := serve(t), open(t)
	index := v1.ImageIndex(empty.Index)
	for _, arch := range []string{"s390x", "arm64", "amd64", "riscv64"} {
		img := imageOf(t, arch, entriesLayer(t, file("arch", arch)))
		index = mutate.AppendManifests(
			index,
			mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}},
		)
	}
	ref, _ := name.ParseReference(w.host + "/many")
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"s390x", "arm64"} {
		got, err := s.Pull(t.Context(), ref.Name(), image.PullOptions{Platform: image.Platform{OS: "linux", Arch: arch}})
		if err != nil || read(t, got, "arch") != arch || got.Platform.Arch != arch {
			t.Errorf(
				"%s: got = %+v err = %v"+
					`; want no error and read(t, got, "arch") == arch and got.Platform.Arch == arch`,
				arch, got, err,
			)
		}
	}
	here, err := s.Take(t.Context(), ref.Name(), t.TempDir(), image.PullOptions{})
	if err != nil || read(t, here, "arch") == "arm64" && here.Platform.Arch != "arm64" {
		t.Errorf("the name stood for another platform's image, which Take gave out: %+v %v", here, err)
	}
	_, err = s.Pull(t.Context(), ref.Name(), image.PullOptions{Platform: image.Platform{OS: "linux", Arch: "mips"}})
	if !errors.Is(err, compute.ErrInvalid) ||
		!strings.Contains(err.Error(), "it is for linux/amd64, linux/arm64, linux/riscv64, linux/s390x, and not for linux/mips") {
		t.Errorf(
			"err = %v"+
				`; want error compute.ErrInvalid and err.Error() with "it is for linux/amd64, linux/arm64, `+
				`linux/riscv64, linux/s390x, and not for linux/mips"`,
			err,
		)
	}
	// One image without an index says in its configuration what it is for.
	one := w.push(t, "one", imageOf(t, "s390x", entriesLayer(t, file("f", ""))))
	_, err = s.Pull(t.Context(), one, image.PullOptions{})
	if !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), "it is for linux/s390x") || compute.Hint(err) == "" {
		t.Errorf(
			"err = %v"+
				`; want error compute.ErrInvalid and err.Error() with "it is for linux/s390x" and `+
				`compute.Hint(err) != ""`,
			err,
		)
	}
	if _, err := s.Find(one); err == nil {
		t.Error("it is here all the same")
	}
}

func TestEndOfContext(t *testing.T) {
	w, s := serve(t), open(t)
	ref := w.push(t, "two", two(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Pull(ctx, ref, image.PullOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v; want error context.Canceled", err)
	}
}
