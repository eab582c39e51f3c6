package image_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/registry"
)

// BenchmarkTake is what an image that is here costs each instance: Take, and Release later.
func BenchmarkTake(b *testing.B) {
	w, s, dir := serve(b), open(b), b.TempDir()
	var layers []v1.Layer
	for i := range 10 {
		layers = append(layers, entriesLayer(b, file(fmt.Sprint(i), "x")))
	}
	ref := w.push(b, "ten", imageOf(b, "", layers...))
	for b.Loop() {
		img, err := s.Take(b.Context(), ref, dir, image.PullOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Release(img.Digest, dir); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnpack sets pulling an image of a Debian root in a layout beside `tar -x` of its layers,
// one after the other in turn in one run, and prints the ratio. Its first loop is the measurement;
// b.N is not used. Neither side waits for the disk.
func BenchmarkUnpack(b *testing.B) {
	root := computetest.Lab{Set: "image", Net: 66}.Run(b, "base-rootfs", "small")["tarball"]
	parts := split(b, root, 4)
	for _, c := range []struct {
		name   string
		layers [][]byte
		how    compression.Compression
		flag   string
	}{
		{"4 layers, gzip", parts, compression.GZip, "-xzpf"}, {"1 layer, gzip", split(b, root, 1), compression.GZip, "-xzpf"},
		{"1 layer, not compressed", split(b, root, 1), compression.None, "-xpf"},
	} {
		tmp := b.TempDir()
		var layers []v1.Layer
		for _, p := range c.layers {
			layers = append(layers, layerOf(b, p, c.how))
		}
		path, err := layout.Write(tmp+"/layout", empty.Index)
		if err != nil {
			b.Fatal(err)
		}
		img := imageOf(b, "", layers...)
		if err := path.AppendImage(img); err != nil {
			b.Fatal(err)
		}
		m, _ := img.Manifest()
		var ours, theirs []time.Duration
		for n := range 4 {
			start := time.Now()
			for i, l := range m.Layers {
				into := fmt.Sprintf("%s/tar%d", tmp, i)
				if err := os.Mkdir(into, 0o700); err != nil {
					b.Fatal(err)
				}
				cmd := exec.Command("tar", c.flag, filepath.Join(tmp, "layout/blobs/sha256", l.Digest.Hex), "--numeric-owner", "-C", into)
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v: out = %s; want no error", err, out)
				}
			}
			took := time.Since(start)
			for i := range m.Layers {
				_ = os.RemoveAll(fmt.Sprintf("%s/tar%d", tmp, i))
			}
			s, err := image.Open(tmp+"/images", image.Options{Registry: registry.Client{}})
			if err != nil {
				b.Fatal(err)
			}
			start = time.Now()
			if _, err := s.Pull(b.Context(), "oci:"+tmp+"/layout", image.PullOptions{Unsynced: true}); err != nil {
				b.Fatal(err)
			}
			mine := time.Since(start)
			_ = os.RemoveAll(tmp + "/images")
			if n > 0 { // the first warms the files
				ours, theirs = append(ours, mine), append(theirs, took)
			}
		}
		slices.Sort(ours)
		slices.Sort(theirs)
		o, t := ours[len(ours)/2], theirs[len(theirs)/2]
		ratio := float64(o) / float64(t)
		fmt.Printf(
			"image: pull, %-26s %6.0f ms, tar -x %6.0f ms: %5.2f x   (promised: 1.30)\n", c.name, o.Seconds()*1000,
			t.Seconds()*1000, ratio,
		)
		b.ReportMetric(ratio, "x_tar")
	}
}

// split cuts a root file system's archive into layers.
func split(t testing.TB, file string, n int) (out [][]byte) {
	t.Helper()
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bufs := make([]bytes.Buffer, n)
	first := map[string]int{} // hard links stay with what they link to
	r, at := tar.NewReader(bytes.NewReader(whole)), int64(0)
	w := make([]*tar.Writer, n)
	for i := range w {
		w[i] = tar.NewWriter(&bufs[i])
	}
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		i := min(int(at*int64(n)/int64(len(whole))), n-1)
		if h.Typeflag == tar.TypeLink {
			i = first[h.Linkname]
		}
		first[h.Name] = i
		at += 512 + h.Size
		if h.Typeflag == tar.TypeDir {
			for k := range w { // each layer says what its directories are
				if err := w[k].WriteHeader(h); err != nil {
					t.Fatal(err)
				}
			}
			continue
		}
		if err := w[i].WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w[i], r); err != nil {
			t.Fatal(err)
		}
	}
	for i := range w {
		if err := w[i].Close(); err != nil {
			t.Fatal(err)
		}
		out = append(out, bufs[i].Bytes())
	}
	return out
}
