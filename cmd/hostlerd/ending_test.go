package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDrain: who is told to end with time to drain says first that it is not ready, and serves all
// the same; a second signal ends it at once.
func TestDrain(t *testing.T) {
	o := newYard(t, outsideSources)
	k := o.Serve("--no-fill", "--listen", "127.0.0.1:0", "--drain", "1h")
	api := "http://" + k.Said(`serving listen=.*tcp:([0-9.:]+)`)
	if err := k.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "it is not ready", func() bool { status, _, _ := get(t, api+"/readyz", ""); return status == 503 })
	token, err := os.ReadFile(filepath.Join(o.Dir, ".local/state/hostler/controller.token"))
	if err != nil {
		t.Fatal(err)
	}
	if status, _, body := get(t, api+"/v1/sources", strings.TrimSpace(string(token))); status != 200 {
		t.Errorf("a request while it drains: %d %s", status, body)
	}
	k.Stop()
	if text := o.Fail("serve", "--drain", "-1s"); !strings.Contains(text, "--drain") {
		t.Errorf("a negative time: %s", text)
	}
}

// TestRenewedCertificate: a certificate that is replaced as kubelets and others do it, by a link
// that leads to another directory, is served without a word to the controller; one whose key is not
// there yet is not taken.
func TestRenewedCertificate(t *testing.T) {
	o, dir := newYard(t, outsideSources), t.TempDir()
	put := func(name string, files ...string) {
		t.Helper()
		place := filepath.Join(dir, name)
		if err := os.Mkdir(place, 0o700); err != nil {
			t.Fatal(err)
		}
		certificate(t, place)
		for _, file := range files {
			text, err := os.ReadFile(filepath.Join(dir, "now", file))
			if err == nil {
				err = os.WriteFile(filepath.Join(place, file), text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		link := filepath.Join(dir, "link")
		if err := os.Symlink(name, link); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link, filepath.Join(dir, "now")); err != nil {
			t.Fatal(err)
		}
	}
	put("1")
	people := filepath.Join(dir, "people.pem") // whose certificates clients show
	authority := func() {
		t.Helper()
		of := t.TempDir()
		certificate(t, of)
		if err := os.Rename(filepath.Join(of, "tls.crt"), people); err != nil {
			t.Fatal(err)
		}
	}
	authority()
	k := o.Serve(
		"--no-fill", "--listen", "127.0.0.1:0", "--client-ca", people, "--tls-cert",
		filepath.Join(dir, "now", "tls.crt"), "--tls-key", filepath.Join(dir, "now", "tls.key"),
	)
	at := k.Said(`serving listen=.*tcp:([0-9.:]+)`)
	shown := func() string {
		web := &http.Client{
			Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
			Timeout:   time.Minute,
		}
		answer, err := web.Get("https://" + at + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		_, _ = io.Copy(io.Discard, answer.Body)
		return string(answer.TLS.PeerCertificates[0].Raw)
	}
	first := shown()
	authority()
	k.Said(`the certificates were read anew`) // of nothing else that is new yet
	if shown() != first {
		t.Error("the controller's own is another")
	}
	put("2", "tls.key") // the old key
	k.Said(`the new certificates cannot be used`)
	if shown() != first {
		t.Error("half of a pair was taken")
	}
	put("3")
	waitFor(t, "the new one is served", func() bool { return shown() != first })
	k.Stop()
}
