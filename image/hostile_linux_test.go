package image_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/image"
)

// outside makes a directory beside the layer's with a file in it, and returns what checks that
// nobody touched either.
func outside(t testing.TB) (layer string, check func()) {
	t.Helper()
	tmp := t.TempDir()
	t.Cleanup(func() { chmodAll(tmp) })
	layer = filepath.Join(tmp, "a", "b", "layer")
	if err := os.MkdirAll(layer, 0o755); err != nil {
		t.Fatal(err)
	}
	witness := filepath.Join(tmp, "witness")
	if err := os.WriteFile(witness, []byte("as it was"), 0o640); err != nil {
		t.Fatal(err)
	}
	before := tree(t, tmp, layer)
	return layer, func() {
		t.Helper()
		if after := tree(t, tmp, layer); after != before {
			t.Errorf("outside of the layer there was\n%s\nand now\n%s", before, after)
		}
	}
}

// tree describes all files in a directory but those of except.
func tree(t testing.TB, dir, except string) string {
	t.Helper()
	var b strings.Builder
	// by device and number: a root of busybox has one program under hundreds of names
	read := map[[2]uint64]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		if p == except {
			return fs.SkipDir
		}
		b.WriteString(p + " " + info.Mode().String())
		if !info.IsDir() {
			file := [2]uint64{st.Dev, st.Ino}
			text, done := read[file]
			if !done {
				all, err := os.ReadFile(p)
				if err != nil {
					return err
				}
				if text = string(all); len(all) > 200 {
					text = fmt.Sprintf("%x", sha256.Sum256(all))
				}
				read[file] = text
			}
			b.WriteString(" " + text + " " + string(rune('0'+st.Nlink)))
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestHostileArchives unpacks what is meant to write elsewhere. refused says that it must be an
// error; otherwise it must land inside.
func TestHostileArchives(t *testing.T) {
	for name, c := range map[string]struct {
		refused bool
		entries func(witness string) []entry
		inside  string // a file that the layer has then
	}{
		"dots":        {true, func(string) []entry { return []entry{file("../../../witness", "bad")} }, ""},
		"dots inside": {true, func(string) []entry { return []entry{dir("x"), file("x/../../../../witness", "bad")} }, ""},
		"absolute":    {false, func(w string) []entry { return []entry{file(w, "bad")} }, "WITNESS"},
		"link, file":  {true, func(w string) []entry { return []entry{symlink("l", filepath.Dir(w)), file("l/witness", "bad")} }, ""},
		"link up, file": {false, func(string) []entry {
			return []entry{dir("x"), symlink("x/l", "../../../.."), file("x/l/witness", "bad")}
		}, "witness"},
		"link is file": {false, func(w string) []entry { return []entry{symlink("l", w), file("l", "bad")} }, "l"},
		"link is dir": {false, func(w string) []entry {
			return []entry{symlink("l", filepath.Dir(w)), dir("l"), file("l/witness", "bad")}
		}, "l/witness"},
		"link of links": {false, func(string) []entry {
			return []entry{symlink("a", "b"), symlink("b", "../../.."), file("a/witness", "bad")}
		}, "witness"},
		"hard link out": {true, func(w string) []entry { return []entry{hardlink("h", w), file("h", "bad")} }, ""},
		"hard link up":  {true, func(string) []entry { return []entry{hardlink("h", "../../../witness")} }, ""},
		"hard link by link": {
			true, func(w string) []entry { return []entry{symlink("l", filepath.Dir(w)), hardlink("h", "l/witness")} },
			"",
		},
		"hard link to link": {
			false, func(w string) []entry { return []entry{symlink("l", w), hardlink("h", "l"), file("h", "bad")} }, "h",
		},
		"mode by link":         {false, func(w string) []entry { return []entry{dir("d"), file("d", ""), symlink("d", w)} }, ""},
		"directory, then link": {false, func(w string) []entry { return []entry{dir("d/e"), symlink("d", filepath.Dir(w)), dir("f")} }, ""},
		"whiteout by link": {true, func(w string) []entry {
			return []entry{symlink("l", filepath.Dir(w)), file("l/.wh.witness", "")}
		}, ""},
		"whiteout of dots": {true, func(string) []entry { return []entry{file(".wh...", "")} }, ""},
		"whiteout of dot":  {true, func(string) []entry { return []entry{file("x/.wh..", "")} }, ""},
		"whiteout of none": {true, func(string) []entry { return []entry{file("x/.wh.", "")} }, ""},
		"opaque by link": {
			true, func(w string) []entry { return []entry{symlink("l", filepath.Dir(w)), file("l/.wh..wh..opq", "")} },
			"",
		},
		"the root is a file": {true, func(string) []entry { return []entry{file("./", "bad"), file(".", "bad")} }, ""},
		"huge": {true, func(string) []entry {
			return []entry{{tar.Header{Name: "huge", Typeflag: tar.TypeReg, Size: 1 << 41}, ""}}
		}, ""},
		"loop": {
			true, func(string) []entry { return []entry{symlink("a", "b"), symlink("b", "a"), file("a/x", "")} }, "",
		},
		"deep loop": {
			false, func(string) []entry { return []entry{dir("a"), symlink("a/l", ".."), file("a/l/a/l/x", "in")} }, "x",
		},
		"below a file":             {true, func(string) []entry { return []entry{file("a", ""), file("a/x", "")} }, ""},
		"a link to nothing, below": {true, func(string) []entry { return []entry{symlink("a", "nowhere/at/all"), file("a/x", "")} }, ""},
		"own attributes of overlay": {false, func(w string) []entry {
			f := file("f", "x")
			f.PAXRecords = map[string]string{
				"SCHILY.xattr.user.overlay.redirect": w, "SCHILY.xattr.trusted.overlay.redirect": w,
				"SCHILY.xattr.user.mine": "kept",
			}
			return []entry{f}
		}, "f"},
	} {
		t.Run(name, func(t *testing.T) {
			layer, check := outside(t)
			witness := filepath.Join(layer, "../../../witness")
			data := func() (b []byte) {
				defer func() { _ = recover() }()
				var buf bytes.Buffer
				w := tar.NewWriter(&buf)
				for _, e := range c.entries(witness) {
					h := e.Header
					h.Size = max(h.Size, int64(len(e.body)))
					if err := w.WriteHeader(&h); err != nil {
						continue // what archive/tar does not write need not be tried
					}
					_, _ = w.Write([]byte(e.body))
				}
				_ = w.Close()
				return buf.Bytes()
			}()
			err := image.Unpack(t.Context(), layer, bytes.NewReader(data), os.Geteuid() == 0)
			if (err != nil) != c.refused {
				t.Errorf("%v; to be refused: %v", err, c.refused)
			}
			check()
			if c.inside != "" {
				if _, err := os.Lstat(filepath.Join(layer, strings.ReplaceAll(c.inside, "WITNESS", witness))); err != nil {
					t.Error(err)
				}
			}
			if name == "own attributes of overlay" {
				b := make([]byte, 256)
				n, _ := syscall.Listxattr(filepath.Join(layer, "f"), b)
				if got := string(b[:max(n, 0)]); strings.Contains(got, "overlay") || !strings.Contains(got, "user.mine") {
					t.Errorf("attributes %q", got)
				}
			}
		})
	}
}

// FuzzUnpack unpacks archives that nobody made on purpose. Nothing may land outside, and nothing
// may panic.
func FuzzUnpack(f *testing.F) {
	f.Add(archive(
		f, dir("etc"), file("etc/a", "one"), symlink("l", "../.."), hardlink("h", "etc/a"), file("l/x", "x"),
		file(".wh.gone", ""), file("etc/.wh..wh..opq", ""),
	))
	f.Add(archive(f, symlink("a", "/"), symlink("b", "a/.."), file("b/../../x", "x")))
	f.Add(archive(
		f, symlink("a", ".."), dir("a"), symlink("a/b", "../../.."), file("a/b/witness", "bad"),
		hardlink("a/b/c", "a/b/witness"),
	))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<20 {
			return
		}
		layer, check := outside(t)
		_ = image.Unpack(t.Context(), layer, bytes.NewReader(data), false)
		check()
	})
}

// FuzzEntries lets the fuzzer choose names and targets rather than the bytes of an archive, so that
// it gets past their checksums.
func FuzzEntries(f *testing.F) {
	f.Add("a", "../..", "a/witness", uint8(2), uint8(0))
	f.Add("a/b", "/", ".wh.a", uint8(2), uint8(0))
	f.Add("a", "a", "a", uint8(1), uint8(5))
	f.Fuzz(func(t *testing.T, one, target, two string, kind1, kind2 uint8) {
		kinds := []byte{tar.TypeReg, tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeFifo, tar.TypeDir}
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for i, k := range []uint8{kind1, kind2, kind1} {
			name := one
			if i == 1 {
				name = two
			}
			h := tar.Header{Name: name, Linkname: target, Typeflag: kinds[int(k)%len(kinds)], Mode: 0o4755, Format: tar.FormatPAX}
			if w.WriteHeader(&h) != nil {
				return
			}
		}
		_ = w.Close()
		layer, check := outside(t)
		_ = image.Unpack(t.Context(), layer, &b, false)
		check()
	})
}

// FuzzManifests reads an image whose index, manifest and configuration come from somebody who means
// harm. Nothing may panic, and nothing may come of it outside of the store.
func FuzzManifests(f *testing.F) {
	const none = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	f.Add(`{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:MANIFEST"}]}`, `{"config":{"digest":"sha256:CONFIG"},"layers":[{"digest":"sha256:`+none+`"}]}`,
		`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:`+none+`"]}}`)
	f.Add(`{"manifests":[null]}`, `null`, `{}`)
	f.Add(
		`{"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:MANIFEST"}]}`,
		`{"manifests":[{"platform":null,"digest":"sha256:CONFIG"}]}`, `{"config":null,"layers":[null]}`,
	)
	f.Add(`[{"Config":"x.json","Layers":["../../x"]}]`, `x`, `{"rootfs":{"type":"layers","diff_ids":["sha256:../../../../x"]}}`)
	f.Fuzz(func(t *testing.T, index, manifest, config string) {
		sum := func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
		manifest = strings.ReplaceAll(manifest, "CONFIG", sum(config))
		index = strings.ReplaceAll(index, "MANIFEST", sum(manifest))
		blob := func(s string) entry {
			return entry{tar.Header{Name: "blobs/sha256/" + sum(s), Typeflag: tar.TypeReg}, s}
		}
		reg := func(name, s string) entry { return entry{tar.Header{Name: name, Typeflag: tar.TypeReg}, s} }
		layer, check := outside(t)
		file := filepath.Join(layer, "image.tar")
		if err := os.WriteFile(
			file,
			archive(
				t, blob(manifest), blob(config), blob(""), reg("x.json", config), reg("index.json", index),
				reg("manifest.json", index),
			),
			0o600,
		); err != nil {
			t.Fatal(err)
		}
		s := openIn(t, filepath.Join(layer, "store"))
		for _, ref := range []string{"oci-archive:" + file, "docker-archive:" + file} {
			_, _ = s.Pull(t.Context(), ref, image.PullOptions{Unsynced: true})
		}
		check()
	})
}
