package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/node/service"
)

// TestSlaposNodeFetch has nodes build an archive and an image of a server of this machine, which
// only those do that may: by their master, or by fetch_allow.
func TestSlaposNodeFetch(t *testing.T) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "instance", Mode: 0o755, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if strings.HasPrefix(r.URL.Path, "/v2/") {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(archive.Bytes())
	}))
	defer s.Close()
	host := strings.TrimPrefix(s.URL, "http://")
	for _, c := range []struct {
		name, master, keys string
		may                bool
	}{
		{"a master elsewhere", "https://slap.example/", "", false},
		{"allowed", "https://slap.example/", "fetch_allow = 10.0.0.0/8, " + host, true},
		{"all of loopback allowed", "https://slap.example/", "fetch_allow = loopback", true},
		{"another port allowed", "https://slap.example/", "fetch_allow = 127.0.0.1:1", false},
		{"its master's host", "https://" + host + "/", "", true},
		{"a master of this machine with TLS", "https://127.0.0.1:1/", "", false},
		{"this machine's users' own", "http://127.0.0.1:1/", "", true},
		{"but said", "http://127.0.0.1:1/", "fetch_allow = 10.0.0.0/8", false},
		{"denied", "http://127.0.0.1:1/", "fetch_deny = 127.0.0.0/8", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked.Store(0)
			n, said := fetchingNode(t, "[slapos]\nmaster_url = "+c.master+"\n"+c.keys+"\n")
			b, err := n.Builder()
			if err != nil {
				t.Fatal(err)
			}
			err = b.Install(t.Context(), s.URL+"/a.tar")
			if c.may && (err != nil || asked.Load() == 0) {
				t.Errorf("the archive: %v", err)
			}
			if !c.may &&
				(!errors.Is(err, compute.ErrDenied) || asked.Load() != 0 || !strings.Contains(said.String(), "Not fetched: "+host)) {
				t.Errorf("the archive: %v, asked %d times, %s", err, asked.Load(), said)
			}
			asked.Store(0)
			var errs bytes.Buffer
			words := append(append([]string{}, b.Puller[1:]...), host+"/image", t.TempDir())
			if code := Main(words, strings.NewReader(""), io.Discard, &errs); code == 0 || (asked.Load() > 0) != c.may {
				t.Errorf("the image: %d, asked %d times: %s", code, asked.Load(), &errs)
			}
			if !c.may && !strings.Contains(errs.String(), "fetch_allow = HOST:PORT") {
				t.Errorf("the image: %s", &errs)
			}
		})
	}
	for _, key := range []string{"fetch_allow", "fetch_deny"} {
		n, _ := fetchingNode(t, "[slapos]\nmaster_url = https://slap.example/\n"+key+" = privat\n")
		if _, err := n.Builder(); err == nil || !strings.Contains(err.Error(), key) ||
			!strings.Contains(err.Error(), "did you mean private") {
			t.Errorf(`%s: err = %v; want an error and err.Error() with key and err.Error() with "did you mean private"`, key, err)
		}
	}
}

// fetchingNode is one with a file, whose software root is as it has to be.
func fetchingNode(t *testing.T, file string) (*service.Node, *bytes.Buffer) {
	t.Helper()
	f, err := cfg.Parse("slapos.cfg", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	root, said := filepath.Join(t.TempDir(), "soft"), &bytes.Buffer{}
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // nothing is built as root
		if err := os.Chown(root, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		for at := filepath.Dir(root); at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
			if err := os.Chmod(at, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := session.New(cli.NewApp(strings.NewReader(""), io.Discard, said))
	n := &service.Node{File: f, Log: &s.Log}
	if n.Settings, err = f.Node(); err != nil {
		t.Fatal(err)
	}
	n.Settings.SoftwareRoot, n.Settings.SoftwareFree = root, 1
	return n, said
}
