package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/cli/slaposcmd/usercmd"
	"github.com/hostler-project/hostler/slapos/cache"
)

// A cache's directory as the published form has it: entries by key, signed by the certificate of a
// list.
func TestSlaposCacheLookup(t *testing.T) {
	const release = "https://software.example/demo/software.cfg"
	entries, signer := content(t, "../../slapos/cache/testdata/entries.json"), content(t, "../../slapos/cache/testdata/signer.crt")
	file := `[["{\"sha512\":\"` + strings.Repeat("a", 128) + `\",\"url\":\"https://a/b.tgz\"}","c2lnbmVk"]]`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := map[string]string{"/dir/" + cache.ReleaseKey(release): entries, "/dir/" + cache.FileKey("https://a/b.tgz"): file,
			"/dir/pypi:demo=1.0": `[["{\"sha512\":\"` + strings.Repeat("b", 128) + `\",\"basename\":\"demo-1.0.zip\"}",""]]`,
			"/dir/pypi:demo=2.0": "<html>"}[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer s.Close()
	dir := t.TempDir()
	configured := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	urls := "[networkcache]\ndownload-binary-dir-url = " + s.URL + "/dir\ndownload_dir_url = " + s.URL + "/dir/\n"
	good := configured("good.cfg", urls+"signature-certificate-list =\n  "+strings.ReplaceAll(strings.TrimSpace(signer), "\n", "\n  ")+"\n")
	t.Setenv("SLAPOS_CONFIGURATION", good)
	run := func(words ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := Main(append([]string{"slapos", "cachelookup"}, words...), strings.NewReader(""), &out, &errs)
		return code, out.String(), errs.String()
	}
	code, out, errs := run("binary-sr", release)
	lines := strings.Split(out, "\n")
	if code != 0 || len(lines) != 7 ||
		!strings.HasPrefix(lines[0], "multiarch         os      version  codename  compatible?  verified?") ||
		!strings.HasPrefix(
			lines[2], "x86_64-linux-gnu  debian  12       bookworm  ",
		) || !strings.HasSuffix(lines[2], " yes") || !strings.HasSuffix(lines[3], " no") ||
		!strings.Contains(errs, "WARNING 3 more of the cache's entries cannot be read.") {
		t.Errorf("code = %d\nout = %serrs = %s", code, out, errs)
	}
	var views []usercmd.CachedView
	code, out, _ = run("binary-sr", cache.ReleaseKey(release), "--json")
	if err := json.Unmarshal([]byte(out), &views); err != nil || code != 0 || len(views) != 4 || !views[0].Verified ||
		views[1].Verified || views[0].Compatible == nil || views[0].Release != release || views[2].Multiarch != "x86_64" {
		t.Errorf("code = %d, err = %v\nout = %s", code, err, out)
	}
	if code, out, errs := run("url", "https://a/b.tgz"); code != 0 ||
		!strings.Contains(out, "https://a/b.tgz  "+strings.Repeat("a", 128)+"  by others\n") || errs != "" {
		t.Errorf(
			"code = %d\nout = %serrs = %s"+
				`; want code == 0 and out with "https://a/b.tgz  " + strings.Repeat("a", 128) + "  by `+
				"others\\n\" and errs == \"\"",
			code, out, errs,
		)
	}
	if code, out, errs := run("pypi", "demo", "1.0"); code != 0 ||
		!strings.Contains(out, "demo-1.0.zip  "+strings.Repeat("b", 128)+"  no\n") || errs != "" {
		t.Errorf(
			"code = %d\nout = %serrs = %s"+
				"; want code == 0 and out with \"demo-1.0.zip  \" + strings.Repeat(\"b\", 128) + \"  no\\n\" and "+
				`errs == ""`,
			code, out, errs,
		)
	}
	if code, out, errs := run("pypi", "demo", "3.0"); code != 2 || out != "" ||
		errs != "slapos: not found: the cache has nothing of the package \"demo 3.0\"\n" {
		t.Errorf(
			"code = %d\nout = %serrs = %s"+
				`; want code == 2 and out == "" and errs == "slapos: not found: the cache has nothing of `+
				"the package \\\"demo 3.0\\\"\\n\"",
			code, out, errs,
		)
	}
	if code, _, errs := run("pypi", "demo", "2.0"); code != 1 || !strings.Contains(errs, "the answer is no list of entries") {
		t.Errorf("code = %d\nerrs = %s; want code == 1 and errs with \"the answer is no list of entries\"", code, errs)
	}
	if code, _, errs := run("frobnicate"); code != 5 {
		t.Errorf("code = %d\nerrs = %s; want code == 5", code, errs)
	}
	for text, want := range map[string]string{
		"": "download-binary-dir-url in [networkcache] is not there",
		"[networkcache]\ndownload-binary-dir-url = ftp://me:secret@a": "download-binary-dir-url in [networkcache] cannot be used",
		urls + "signature-certificate-list = what":                    "signature-certificate-list in [networkcache] cannot be read: certificate 1",
	} {
		if code, _, errs := run("binary-sr", release, "--cfg", configured("bad.cfg", text)); code != 2 ||
			!strings.Contains(errs, want) || strings.Contains(errs, "secret") {
			t.Errorf("%s: code = %d\nerrs = %s; want code == 2 and errs with want and errs without \"secret\"", text, code, errs)
		}
	}
	if code, out, errs := run("binary-sr", release, "--cfg", configured("unsigned.cfg", urls)); code != 0 ||
		strings.Contains(out, " yes  yes") || !strings.Contains(errs, "no entry can be verified") {
		t.Errorf(
			"code = %d\nout = %serrs = %s"+
				`; want code == 0 and out without " yes  yes" and errs with "no entry can be verified"`,
			code, out, errs,
		)
	}
	s.Close()
	if code, _, errs := run("binary-sr", release); code != 1 || !strings.Contains(errs, "hint: is the directory's URL") {
		t.Errorf("code = %d\nerrs = %s; want code == 1 and errs with \"hint: is the directory's URL\"", code, errs)
	}
}
