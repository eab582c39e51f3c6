package cache_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slapos/cache"
)

// Certificates of a list are read or refused, and one that was read can be asked for its key.
func FuzzSigners(f *testing.F) {
	good, err := os.ReadFile("testdata/signer.crt")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(good))
	f.Add(string(good) + "\n\n" + string(good) + "x")
	f.Add("-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := cache.ParseSigners(text)
		if err != nil && all != nil {
			t.Errorf("%v, and %d", err, len(all))
		}
		for _, c := range all {
			if c.PublicKey == nil {
				t.Error("one without a key")
			}
		}
	})
}

// No signature but the right one is taken, whatever it looks like.
func FuzzSignature(f *testing.F) {
	good, err := os.ReadFile("testdata/signer.crt")
	if err != nil {
		f.Fatal(err)
	}
	signers, err := cache.ParseSigners(string(good))
	if err != nil {
		f.Fatal(err)
	}
	list, err := os.ReadFile("testdata/entries.json")
	if err != nil {
		f.Fatal(err)
	}
	entries, _, _ := cache.ParseSigned(list, signers)
	right := cache.Texts(f, list)
	known := map[[2]string]bool{}
	for i, e := range entries {
		known[right[i]] = e.Trusted
		f.Add(right[i][0], right[i][1])
	}
	f.Add("{}", "AAAA")
	f.Fuzz(func(t *testing.T, text, signature string) {
		if cache.Signed(text, signature, signers) && !known[[2]string{text, strings.NewReplacer("\n", "", "\r", "").Replace(signature)}] {
			t.Errorf("%q counts for %q", signature, text)
		}
	})
}

// Whatever an archive holds, nothing of it lies outside of its directory.
func FuzzUnpack(f *testing.F) {
	form := func(all ...tar.Header) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range all {
			_ = w.WriteHeader(&h)
		}
		_ = w.Close()
		return b.Bytes()
	}
	f.Add(form(tar.Header{Name: "top/", Typeflag: tar.TypeDir, Mode: 0o755}, tar.Header{Name: "top/a", Typeflag: tar.TypeReg, Mode: 0o644}))
	f.Add(form(tar.Header{Name: "top/a", Typeflag: tar.TypeSymlink, Linkname: "../.."}, tar.Header{Name: "top/a/x", Typeflag: tar.TypeReg}))
	f.Add(form(
		tar.Header{Name: "top/../x", Typeflag: tar.TypeReg},
		tar.Header{Name: "top/b", Typeflag: tar.TypeLink, Linkname: "top/../../x"},
	))
	f.Fuzz(func(t *testing.T, archive []byte) {
		at := t.TempDir()
		dir := filepath.Join(at, "dir")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = z.Write(archive)
		_ = z.Close()
		_ = cache.Unpack(t.Context(), &packed, dir, "top") // it may well be refused
		if all, err := os.ReadDir(at); err != nil || len(all) != 1 {
			t.Errorf("%v is beside it, %v", all, err)
		}
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				return os.Chmod(path, 0o700) // so that it can be taken away
			}
			return nil
		})
	})
}

// Whatever is put is refused, or read again as it was put; nothing lies outside of the directory,
// and nothing is our fault.
func FuzzServe(f *testing.F) {
	f.Add("k", `["{\"sha512\": \"`+strings.Repeat("0", 128)+`\"}", ""]`)
	f.Add("../k", `[[]]`)
	f.Add(".k%2f", `["{}", null]`)
	f.Fuzz(func(t *testing.T, key, body string) {
		at := t.TempDir()
		o := cache.ServeOptions{Content: filepath.Join(at, "c"), Metadata: filepath.Join(at, "m")}
		for _, dir := range []string{o.Content, o.Metadata} {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		h := cache.Handler(o)
		ask := func(method, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, "/dir/x", strings.NewReader(body))
			r.URL.Path, r.URL.RawPath = "/dir/"+key, ""
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code >= 500 {
				t.Errorf("method = %s key = %q: w.Code = %d w.Body = %s; want w.Code < 500", method, key, w.Code, w.Body)
			}
			return w
		}
		if ask(http.MethodPut, body).Code == http.StatusCreated {
			if w := ask(http.MethodGet, ""); w.Code != http.StatusOK || w.Body.String() != "["+body+"]" {
				t.Errorf(
					"%q: w.Code = %d w.Body = %q"+
						`; want w.Code == http.StatusOK and w.Body.String() == "["+body+"]"`,
					key, w.Code, w.Body,
				)
			}
		}
		if all, err := os.ReadDir(at); err != nil || len(all) != 2 {
			t.Errorf("all = %v, err = %v; want no error and len(all) == 2", all, err)
		}
	})
}
