package openstack_test

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/remote/sshserve"
)

// told makes a server and returns the user data that the cloud was given for it.
func (s *sim) told(t *testing.T, p *openstack.Provider, spec compute.Spec) []byte {
	t.Helper()
	if _, err := p.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.servers, func(x *simServer) bool { return x.name == string(spec.ID) })
	return s.servers[i].told
}

func zipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestUserDataOfSeveralForms joins what the source says, what a request brings compressed, and the
// host key: cloud-init reads a part of each, with its type.
func TestUserDataOfSeveralForms(t *testing.T) {
	s := newSim(t)
	config := "#cloud-config\npackages: [nfs-common]\n"
	p := simSource(t, s, openstack.SessionOptions{}, func(o *openstack.Options) {
		o.HostKey, o.UserData = "given", write(t, t.TempDir(), "user-data", config)
	})
	data := s.told(t, p, compute.Spec{ID: "web-1", UserData: zipped(t, []byte("#!/bin/sh\necho hi\n"))})
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%v: data = %q; want no error", err, data)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" {
		t.Fatalf(`kind = %s, err = %v; want no error and kind == "multipart/mixed"`, kind, err)
	}
	var got []string
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		typ, _, _ := strings.Cut(part.Header.Get("Content-Type"), ";")
		text := string(body)
		if strings.Contains(text, "PRIVATE KEY") {
			text = "the host key"
		}
		got = append(got, typ+" "+text)
	}
	want := []string{"text/x-shellscript the host key", "text/cloud-config " + config, "text/x-shellscript #!/bin/sh\necho hi\n"}
	if !slices.Equal(got, want) {
		t.Errorf("the parts are %q, want %q", got, want)
	}
}

// TestLargeUserData is compressed where it is too large, and refused, before anything is made,
// where that does not help.
func TestLargeUserData(t *testing.T) {
	s := newSim(t)
	p := simProvider(t, s, openstack.SessionOptions{})
	script := append([]byte("#!/bin/sh\n"), bytes.Repeat([]byte("echo the same again\n"), 10_000)...)
	data := s.told(t, p, compute.Spec{ID: "web-1", UserData: script})
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%d bytes were sent as they are: %v", len(data), err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, script) {
		t.Errorf("it was another script: %d bytes, %v", len(got), err)
	}
	noise := make([]byte, 64<<10)
	_, _ = rand.Read(noise)
	_, err = p.Create(t.Context(), compute.Spec{ID: "web-2", UserData: append([]byte("#!"), noise...)})
	if !errors.Is(err, compute.ErrInvalid) || !provider.WasUnasked(err) || compute.Hint(err) == "" ||
		len(s.servers) != 1 || len(s.ports) != 1 {
		t.Errorf("%v, with %d servers and %d ports", err, len(s.servers), len(s.ports))
	}
	bomb := zipped(t, make([]byte, 5<<20))
	if _, err := p.Create(t.Context(), compute.Spec{ID: "web-3", UserData: bomb}); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("what is compressed and much too large: %v", err)
	}
}

// sshd serves ssh at an address of loopback, and returns its port and its public key.
func sshd(t *testing.T) (port, key string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	host, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn := process.New(process.Options{Dir: t.TempDir()})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { _ = sshserve.Serve(t.Context(), c, sshserve.Options{Conn: conn, Key: host}) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
		_ = conn.Close()
	})
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey())))
}

// TestHostKeyOfTheConsole waits until the console log tells the host key, takes no other, and
// remembers it when the log is gone.
func TestHostKeyOfTheConsole(t *testing.T) {
	port, key := sshd(t)
	_, other := sshd(t)
	s := newSim(t)
	printed := map[string]string{}
	// asked with the simulation's mutex held
	s.console = func(name string) string { return printed[name] }
	say := func(name, text string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		printed[name] = text
	}
	p := simSource(t, s, openstack.SessionOptions{}, func(o *openstack.Options) {
		o.HostKey, o.User, o.ConfigFile = "console", "u", write(t, t.TempDir(), "config", "Host *\n  Port "+port+"\n")
	})
	for _, id := range []compute.ID{"web-1", "web-2"} {
		if _, err := p.Create(t.Context(), compute.Spec{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	begun := "[ 1.0] Linux version 6.1\r\nci-info: -----BEGIN SSH HOST KEY KEYS-----\r\nci-info: "
	for _, text := range []string{"", "[ 1.0] Linux version 6.1\r\n", begun + key + " root@web-1\r\n"} {
		say("web-1", text)
		if _, err := p.Connect(t.Context(), "web-1"); !errors.Is(err, compute.ErrNotReady) {
			t.Errorf("with %q on the console: %v", text, err)
		}
	}
	end := "\r\nci-info: -----END SSH HOST KEY KEYS-----\r\n"
	say("web-1", begun+key+" root@web-1"+end)
	say("web-2", begun+other+" root@web-2"+end)
	for range 2 {
		c, err := p.Connect(t.Context(), "web-1")
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		say("web-1", "") // the log is not kept for ever
	}
	if _, err := p.Connect(t.Context(), "web-2"); err == nil {
		t.Error("a host with another key than it printed was let in")
	}
	for _, x := range s.servers {
		if strings.Contains(string(x.told), "PRIVATE KEY") {
			t.Errorf("%s was told a host key", x.name)
		}
	}
}

// TestStuckInBuild gives up after build-timeout, with the console's end, and the server goes.
func TestStuckInBuild(t *testing.T) {
	s := newSim(t)
	// by the cloud's clock it was made long ago, which does not count
	s.stuck, s.skew = true, -time.Hour
	s.console = func(string) string { return "grub> no such device\r\n" }
	p := simSource(t, s, openstack.SessionOptions{}, func(o *openstack.Options) { o.BuildTimeout = 300 * time.Millisecond })
	if _, err := p.Create(t.Context(), compute.Spec{ID: "web-1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := simProvider(t, s, openstack.SessionOptions{}).Connect(t.Context(), "web-1"); !errors.Is(err, compute.ErrNotReady) ||
		!strings.Contains(err.Error(), "BUILD") {
		t.Errorf("for who waits longer: %v", err)
	}
	until(t, "it is given up", func() error {
		_, err := p.Connect(t.Context(), "web-1")
		if errors.Is(err, compute.ErrNotReady) {
			return err
		}
		if !errors.Is(err, compute.ErrTimeout) || openstack.ReasonOf(err) != openstack.TimedOut ||
			!strings.Contains(err.Error(), "no such device") || !strings.Contains(compute.Hint(err), "build-timeout") {
			t.Errorf("it is told as %v", err)
		}
		return nil
	})
	destroy(t, p, "web-1")
	if len(s.servers)+len(s.ports)+len(s.keys) != 0 {
		t.Errorf("left: %d servers, %d ports, %d keys", len(s.servers), len(s.ports), len(s.keys))
	}
}

// TestClockSkew has a cloud whose clock is hours ahead or behind: nothing is taken for old or for
// not begun.
func TestClockSkew(t *testing.T) {
	for _, skew := range []time.Duration{-48 * time.Hour, 48 * time.Hour} {
		s := newSim(t)
		s.skew, s.boot = skew, 50*time.Millisecond
		p := simProvider(t, s, openstack.SessionOptions{})
		if _, err := p.Create(t.Context(), compute.Spec{ID: "web-1"}); err != nil {
			t.Fatalf("%v: err = %v; want no error", skew, err)
		}
		until(t, "it runs", func() error {
			err := p.Check(t.Context(), "web-1")
			if err != nil && !errors.Is(err, compute.ErrNotReady) {
				t.Fatalf("%v: err = %v; want no error or error compute.ErrNotReady", skew, err)
			}
			return err
		})
		if in, err := p.Create(t.Context(), compute.Spec{ID: "web-1"}); err != nil ||
			in.ProviderID != s.servers[0].id || len(s.servers) != 1 {
			t.Errorf("%v: created again: %+v, %v", skew, in, err)
		}
	}
}

// TestStopBySuspend stops and starts in both ways, twice each, and says of a server that is off
// that it is.
func TestStopBySuspend(t *testing.T) {
	for how, state := range map[string]string{"stop": "SHUTOFF", "suspend": "SUSPENDED"} {
		s := newSim(t)
		p := simSource(t, s, openstack.SessionOptions{}, func(o *openstack.Options) { o.Stop = how })
		if _, err := p.Create(t.Context(), compute.Spec{ID: "web-1"}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := p.Stop(t.Context(), "web-1", 0); err != nil {
				t.Fatalf("%s: err = %v; want no error", how, err)
			}
		}
		if s.servers[0].off != state {
			t.Errorf("%s: it is %q", how, s.servers[0].off)
		}
		if err := p.Check(t.Context(), "web-1"); !errors.Is(err, compute.ErrUnavailable) ||
			errors.Is(err, compute.ErrNotReady) || !strings.Contains(err.Error(), state) {
			t.Errorf("%s: Check of one that is off: %v", how, err)
		}
		for range 2 {
			if err := p.Start(t.Context(), "web-1"); err != nil {
				t.Fatalf("%s: err = %v; want no error", how, err)
			}
		}
		if n := s.count("POST action"); n != 2 || s.servers[0].off != "" {
			t.Errorf("%s: %d requests, and it is %q", how, n, s.servers[0].off)
		}
		if err := p.Check(t.Context(), "web-1"); err != nil {
			t.Errorf("%s: Check of one that is on: %v", how, err)
		}
	}
}

// TestImageDeleted has the image be replaced by another of its name, and go, while its servers run.
func TestImageDeleted(t *testing.T) {
	s := newSim(t)
	p := simProvider(t, s, openstack.SessionOptions{})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "web-1"}); err != nil {
		t.Fatal(err)
	}
	replace := func(images ...map[string]any) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.images = images
	}
	replace(map[string]any{"id": "i2", "name": "debian", "status": "active", "created_at": "2024-02-01T00:00:00Z"})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "web-2"}); err != nil || s.servers[1].image != "i2" {
		t.Fatalf("of the next image: %v", err)
	}
	if all, err := p.List(t.Context()); err != nil || len(all) != 2 || all[0].Facts["image"] != "debian" {
		t.Errorf("List: %+v, %v", all, err)
	}
	if _, err := p.Clean(t.Context(), "web-1"); !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), "Cannot find image") {
		t.Errorf("a rebuild on an image that is gone: %v", err)
	}
	if said, err := p.Clean(t.Context(), "web-2"); err != nil || !strings.Contains(said, "debian") {
		t.Errorf("a rebuild: %q, %v", said, err)
	}
	replace()
	_, err := p.Create(t.Context(), compute.Spec{ID: "web-3"})
	// its port is there
	if !errors.Is(err, compute.ErrNotFound) || !strings.Contains(err.Error(), "debian") || provider.WasUnasked(err) {
		t.Errorf("without any: %v", err)
	}
	for _, id := range []compute.ID{"web-1", "web-2", "web-3"} {
		destroy(t, p, id)
	}
	if len(s.servers)+len(s.ports)+len(s.keys) != 0 {
		t.Errorf("left: %d servers, %d ports, %d keys", len(s.servers), len(s.ports), len(s.keys))
	}
}

func env(kv map[string]string) func(string) string { return func(k string) string { return kv[k] } }

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
