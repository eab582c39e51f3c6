package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
)

// sparse is an archive of one file that claims so many bytes and has none, as GNU tar writes holes.
func sparse(t testing.TB, size int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	h := &tar.Header{Name: "holes", Mode: 0o600, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	if err := errors.Join(w.WriteHeader(h), w.Close()); err != nil {
		t.Fatal(err)
	}
	out := b.Bytes()
	block := out[:512]
	copy(block[257:], "ustar  \x00")                  // the GNU format
	block[156] = tar.TypeGNUSparse                    // and its way of holes:
	copy(block[386:], "00000000000\x0000000000000")   // nothing is there,
	copy(block[483:], fmt.Sprintf("%011o\x00", size)) // and so much is claimed
	copy(block[148:], "        ")
	sum := 0
	for _, c := range block {
		sum += int(c)
	}
	copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
	return out
}

// repeated is a file of so many bytes that compress well and are no holes.
func repeated(name string, size int) entry { return file(name, strings.Repeat("bomb", size/4)) }

// TestBombs: what unpacks to more than an image may have ends while it is unpacked, however it is
// packed, and nothing of it stays.
func TestBombs(t *testing.T) {
	image.RatioFrom(t, 1<<20)
	small := image.Limits{Size: 4 << 20, Entries: 100}
	var names []entry
	for i := range 150 {
		names = append(names, file(fmt.Sprint("f", i), ""))
	}
	attributes := file("f", "")
	attributes.PAXRecords = map[string]string{"SCHILY.xattr.user.a": strings.Repeat("v", 800<<10)}
	layers := func(n int) (out []v1.Layer) {
		for i := range n {
			out = append(out, entriesLayer(t, file(fmt.Sprint("f", i), random(t, 1<<20))))
		}
		return out
	}
	for name, c := range map[string]struct {
		limits image.Limits
		layers []v1.Layer
		want   string // in the error; "": it is no bomb
	}{
		"gzip of what repeats": {
			image.Limits{Ratio: 50}, []v1.Layer{layerOf(t, archive(t, repeated("f", 8<<20)), compression.GZip)},
			"bytes that were read became more than",
		},
		"zstd of what repeats": {
			image.Limits{}, []v1.Layer{layerOf(t, archive(t, repeated("f", 8<<20)), compression.ZStd)},
			"bytes that were read became more than",
		},
		"gzip of zeros": {
			image.Limits{}, []v1.Layer{layerOf(t, archive(t, file("f", string(make([]byte, 8<<20)))), compression.GZip)},
			"bytes that were read became more than",
		},
		"zeros after the end": {
			image.Limits{}, []v1.Layer{layerOf(t, append(archive(t), make([]byte, 8<<20)...), compression.GZip)},
			"bytes that were read became more than",
		},
		"holes": {
			image.Limits{}, []v1.Layer{layerOf(t, sparse(t, 64<<20), compression.None)},
			"bytes that were read became more than",
		},
		"holes beyond the limit": {small, []v1.Layer{layerOf(t, sparse(t, 64<<20), compression.None)}, "more than 4194304 bytes"},
		"a large file":           {small, []v1.Layer{entriesLayer(t, file("f", random(t, 5<<20)))}, "more than 4194304 bytes"},
		"many layers":            {small, layers(6), "more than 4194304 bytes"},
		"many names":             {small, []v1.Layer{entriesLayer(t, names...)}, "more than 100 files"},
		"many names in two": {
			small, []v1.Layer{entriesLayer(t, names[:70]...), entriesLayer(t, names[70:]...)}, "more than 100 files",
		},
		"large attributes": {image.Limits{Size: 512 << 10}, []v1.Layer{entriesLayer(t, attributes)}, "more than 524288 bytes"},
		"a long name": {
			image.Limits{}, []v1.Layer{entriesLayer(t, file(strings.Repeat(strings.Repeat("n", 200)+"/", 25)+"f", ""))},
			"its name has 5026 bytes",
		},
		"a deep one": {image.Limits{}, []v1.Layer{entriesLayer(t, file(strings.Repeat("d/", 300)+"f", ""))}, "300 directories deep"},
		"no bomb":    {small, layers(3), ""},
		"one that may be": {
			image.Limits{Ratio: 100_000}, []v1.Layer{layerOf(t, archive(t, repeated("f", 8<<20)), compression.GZip)}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := serve(t)
			ref := w.push(t, "bomb:1", imageOf(t, "", c.layers...))
			s := open(t, image.Options{Limits: c.limits})
			_, err := s.Pull(t.Context(), ref, image.PullOptions{})
			if c.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if strings.Contains(c.want, "more") &&
				(!errors.Is(err, compute.ErrInvalid) || !strings.Contains(compute.Hint(err), "in [images]")) {
				t.Errorf("no word of the key: %v, hint %q", err, compute.Hint(err))
			}
			if left := leftovers(t, s); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			if size := sizeOf(t, s.Dir()); size > 6<<20 {
				t.Errorf("%d bytes stay in the store", size)
			}
		})
	}
}

// TestNestedBomb: an archive of an image that is itself compressed is bounded too, before it is
// looked into.
func TestNestedBomb(t *testing.T) {
	image.RatioFrom(t, 1<<20)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(archive(t, dir("blobs"), repeated("blobs/x", 8<<20))); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bomb.tar.gz")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t)
	if _, err := s.Pull(t.Context(), path, image.PullOptions{}); err == nil || !strings.Contains(err.Error(), "became more than") {
		t.Error(err)
	}
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// sizeOf adds up the files below a directory.
func sizeOf(t testing.TB, dir string) (n int64) {
	t.Helper()
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// random are bytes that do not compress.
func random(t testing.TB, size int) string {
	t.Helper()
	b := make([]byte, size)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}
