package image_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/registry"
	"github.com/hostler-project/hostler/policy/fetch"
)

// guarded are others for whom the hosts of some URLs are allowed.
func guarded(log *slog.Logger, allow ...string) *image.Others {
	return &image.Others{Registry: registry.Client{}, Guard: fetch.New(fetch.Options{Allow: fetch.RulesFor(allow...)}), Log: log}
}

// TestOthersAreGuarded: an image that somebody else names is not fetched from this machine,
// whatever way leads there, and the registry never hears of it. What the configuration names, and
// what the operator asks for, is fetched as ever.
func TestOthersAreGuarded(t *testing.T) {
	var asked atomic.Int32
	w := serve(t)
	at := w.push(t, "app:1", two(t))
	w.intercept(func(http.ResponseWriter, *http.Request) bool { asked.Add(1); return false })
	port := w.host[strings.LastIndexByte(w.host, ':'):]
	for _, name := range []string{
		at, "docker://" + at, "localhost" + port + "/app:1", "[::1]" + port + "/app:1",
		"169.254.169.254/latest/meta-data", "10.255.255.1:5000/app", "127.1" + port + "/app:1",
	} {
		_, err := open(t, image.Options{Others: guarded(nil)}).Pull(t.Context(), name, image.PullOptions{})
		if err == nil ||
			!errors.Is(err, compute.ErrDenied) && !errors.Is(err, compute.ErrUnavailable) && !errors.Is(err, compute.ErrInvalid) {
			t.Errorf(
				"%s: err = %v"+
					"; want an error and (error compute.ErrDenied or error compute.ErrUnavailable or error "+
					"compute.ErrInvalid)",
				name, err,
			)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Fatalf("the registry was asked %d times", n)
	}
	for what, o := range map[string]*image.Others{
		"allowed":              guarded(nil, "http://"+w.host),
		"of the configuration": {Guard: fetch.New(fetch.Options{}), Own: []string{at}},
	} {
		if _, err := open(t, image.Options{Others: o}).Take(t.Context(), at, t.TempDir(), image.PullOptions{}); err != nil {
			t.Errorf("%s: err = %v; want no error", what, err)
		}
	}
	if _, err := open(t, image.Options{Others: guarded(nil)}).Pull(
		fetch.WithRequester(t.Context(), fetch.Requester{Operator: true}), at, image.PullOptions{},
	); err != nil {
		t.Errorf("for the operator: %v", err)
	}
}

// TestOthersAreLedNowhere: a registry that may be asked leads to none that may not, by a redirect
// of a layer or by the place where tokens are.
func TestOthersAreLedNowhere(t *testing.T) {
	var reached atomic.Int32
	secret := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer secret.Close()
	w := serve(t)
	at := w.push(t, "app:1", two(t))
	for what, lead := range map[string]func(rw http.ResponseWriter, r *http.Request) bool{
		"a redirect of a layer": func(rw http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/blobs/") {
				http.Redirect(rw, r, secret.URL+r.URL.Path, http.StatusTemporaryRedirect)
				return true
			}
			return false
		},
		"a redirect of a manifest": func(rw http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/manifests/") {
				http.Redirect(rw, r, secret.URL+r.URL.Path, http.StatusMovedPermanently)
				return true
			}
			return false
		},
		"a place of tokens": func(rw http.ResponseWriter, r *http.Request) bool {
			rw.Header().Set("WWW-Authenticate", `Bearer realm="`+secret.URL+`/token",service="x"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return true
		},
	} {
		w.intercept(lead)
		if _, err := open(t, image.Options{Others: guarded(nil, "http://"+w.host)}).Pull(t.Context(), at, image.PullOptions{}); err == nil {
			t.Errorf("%s: it is fetched", what)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d reached", n)
	}
}

// TestOthersAreToldLittle: what a registry answers is in the log, short and on one line, and not in
// the error.
func TestOthersAreToldLittle(t *testing.T) {
	const canary = "canary-of-the-inner-host"
	for what, answer := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"an error as registries say it": {
			http.StatusForbidden, `{"errors":[{"code":"DENIED","message":"` + canary + `"}]}`, "answers 403 Forbidden",
		},
		"a page": {
			http.StatusNotImplemented, canary + "\x1b[2J" + strings.Repeat("x", 5000), "answers 501 Not Implemented",
		},
		"none":           {http.StatusNotFound, canary, "answers 404 Not Found"},
		"something else": {http.StatusOK, canary, ""},
		"an index of it": {
			http.StatusOK,
			`{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"platform":{"os":"` + canary + `","architecture":"x"}}]}`,
			"",
		},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return
			}
			if strings.Contains(answer.body, "index") {
				w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			}
			w.WriteHeader(answer.status)
			_, _ = io.WriteString(w, answer.body)
		}))
		var log bytes.Buffer
		_, err := open(
			t, image.Options{Others: guarded(slog.New(slog.NewTextHandler(&log, nil)), srv.URL)},
		).Pull(t.Context(), strings.TrimPrefix(srv.URL, "http://")+"/app:1", image.PullOptions{})
		srv.Close()
		var e *compute.Error
		if err == nil || strings.Contains(err.Error(), canary) ||
			errors.As(err, &e) && strings.Contains(e.Hint, canary) || !strings.Contains(err.Error(), answer.want) {
			t.Errorf(
				"%s: err = %v"+
					"; want an error and err.Error() without canary and (!errors.As(err, &e) or e.Hint without "+
					"canary) and err.Error() with answer.want",
				what, err,
			)
		}
		if log.Len() == 0 || log.Len() > 1500 || strings.ContainsRune(log.String(), 0x1b) {
			t.Errorf("%s: the log has %q", what, log.String())
		}
	}
}

// TestOthersSeeNoFiles: whether a file of this machine is there or not, the answer is the same.
func TestOthersSeeNoFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "there.tar"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, image.Options{Others: guarded(nil)})
	for _, form := range []string{"oci:", "oci-archive:", "docker-archive:", "dir:", "", "docker-daemon:"} {
		var told []string
		for _, path := range []string{
			dir, filepath.Join(dir, "there.tar"), filepath.Join(dir, "missing"), filepath.Join(dir, "missing.tar"),
		} {
			for _, try := range []func() error{
				func() error { _, err := s.Pull(t.Context(), form+path, image.PullOptions{}); return err },
				func() error { _, err := s.Take(t.Context(), form+path, t.TempDir(), image.PullOptions{}); return err },
			} {
				err := try()
				if !errors.Is(err, compute.ErrDenied) {
					t.Errorf("form = %spath = %s: err = %v; want error compute.ErrDenied", form, path, err)
					continue
				}
				told = append(told, strings.ReplaceAll(err.Error(), form+path, "IT"))
			}
		}
		for _, text := range told {
			if text != told[0] {
				t.Errorf("%q and %q", text, told[0])
			}
		}
	}
}
