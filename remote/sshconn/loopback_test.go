package sshconn_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gliderlabs "github.com/gliderlabs/ssh"
	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// loopback is an ssh server in this process, for machines that have no lab.
type loopback struct {
	config string // a configuration for "here"
	known  string
}

// shellHandler runs what the client sends by sh, as sshd does, and says noise first, as a careless
// start-up file does.
func shellHandler(noise string) gliderlabs.Handler {
	return func(s gliderlabs.Session) {
		c := exec.Command("/bin/sh", "-c", s.RawCommand())
		c.Stdout, c.Stderr = s, s.Stderr()
		in, err := c.StdinPipe()
		if err != nil {
			return
		}
		_, _ = io.WriteString(s, noise)
		if c.Start() != nil {
			return
		}
		go func() {
			_, _ = io.Copy(in, s)
			_ = in.Close()
		}()
		stop := context.AfterFunc(s.Context(), func() { _ = c.Process.Kill() })
		_ = c.Wait()
		stop()
		_ = s.Exit(max(c.ProcessState.ExitCode(), 0))
	}
}

func serveLoopback(t *testing.T, server *gliderlabs.Server, settings string) loopback {
	t.Helper()
	_, hostKey, _ := ed25519.GenerateKey(rand.Reader)
	_, userKey, _ := ed25519.GenerateKey(rand.Reader)
	host, _ := ssh.NewSignerFromKey(hostKey)
	user, _ := ssh.NewSignerFromKey(userKey)
	block, err := ssh.MarshalPrivateKey(userKey, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(server.HostSigners) == 0 {
		server.AddHostKey(host)
	}
	server.PublicKeyHandler = func(_ gliderlabs.Context, k gliderlabs.PublicKey) bool {
		return gliderlabs.KeysEqual(k, user.PublicKey())
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	dir := t.TempDir()
	port := ln.Addr().(*net.TCPAddr).Port
	l := loopback{config: filepath.Join(dir, "config"), known: filepath.Join(dir, "known")}
	for name, text := range map[string]string{
		filepath.Join(dir, "key"): string(pem.EncodeToMemory(block)),
		l.known:                   fmt.Sprintf("[127.0.0.1]:%d %s", port, ssh.MarshalAuthorizedKey(host.PublicKey())),
		l.config: fmt.Sprintf("Host here\n HostName 127.0.0.1\n Port %d\n User somebody\n IdentityFile "+
			"%s/%%%%d/../key\n IdentityFile %s/key\n"+
			" UserKnownHostsFile %s\n GlobalKnownHostsFile /dev/null\n%s", port, dir, dir, l.known, settings),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestSSHLoopback(t *testing.T) {
	l := serveLoopback(t, &gliderlabs.Server{Handler: shellHandler("Welcome!\n\x1enot the mark\n")}, "")
	conn := dialSSH(t, sshconn.Options{Host: "here", ConfigFile: l.config})
	words := []string{"", " ", "a b", "'", `"`, `\`, "$HOME", "`x`", "new\nline", "\xff\x01", "-n", "*", "!", "~"}
	want := strings.Join(words, "\x00") + "\x00"
	got := says(t, conn, append([]string{"sh", "-c", `for i; do printf "%s\000" "$i"; done`, "sh"}, words...)...)
	if got != want {
		t.Errorf("words arrived as %q, want %q", got, want)
	}
	long := strings.Repeat("x", 100_000)
	if got := says(t, conn, "sh", "-c", `echo ${#1}`, "sh", long); got != "100000\n" {
		t.Errorf("a long word arrived as one of %q", got)
	}
	for _, c := range []struct {
		args []string
		dir  string
		kind error
		code int
	}{
		{[]string{"sh", "-c", "exit 127"}, "", nil, 127}, {[]string{"sh", "-c", "exit 126"}, "", nil, 126},
		{[]string{"no-such-command"}, "", compute.ErrNoCommand, 0},
		{[]string{"/etc/passwd"}, "", compute.ErrNotExecutable, 0}, {[]string{"cd"}, "", compute.ErrNoCommand, 0},
		{[]string{"true"}, "/no/such", compute.ErrCannotStart, 0},
		{[]string{"a\x00b"}, "", compute.ErrCannotStart, 0},
	} {
		exit, err := conn.Run(t.Context(), &compute.Command{Args: c.args, Dir: c.dir})
		if exit.Code != c.code || !errors.Is(err, c.kind) || c.kind == nil && err != nil {
			t.Errorf("%q: %+v, %v, want %d, %v", c.args, exit, err, c.code, c.kind)
		}
	}
	var out bytes.Buffer
	in := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	if _, err := conn.Run(
		t.Context(), &compute.Command{Args: []string{"cat"}, Stdin: bytes.NewReader(in), Stdout: &out},
	); err != nil || !bytes.Equal(out.Bytes(), in) {
		t.Errorf("%d bytes came back of %d, %v", out.Len(), len(in), err)
	}
}

// A caller that takes its time still gets all.
func TestSSHSlowReader(t *testing.T) {
	l := serveLoopback(t, &gliderlabs.Server{Handler: shellHandler("")}, "")
	conn := dialSSH(t, sshconn.Options{Host: "here", ConfigFile: l.config})
	slow := &slowWriter{}
	exit, err := conn.Run(t.Context(), &compute.Command{Args: []string{"sh", "-c", "head -c 1500000 /dev/zero; exit 5"}, Stdout: slow})
	if err != nil || exit.Code != 5 || slow.n != 1_500_000 {
		t.Errorf("%d bytes came, %+v, %v", slow.n, exit, err)
	}
}

type slowWriter struct{ n int }

func (w *slowWriter) Write(b []byte) (int, error) {
	time.Sleep(60 * time.Millisecond)
	w.n += len(b)
	return len(b), nil
}

// What the library alone reads and what "ssh -G" says must come to the same.
func TestSSHConfigBothWays(t *testing.T) {
	for name, settings := range map[string]string{"library": "", "ssh -G": "Match all\n ServerAliveInterval 7\n"} {
		t.Run(name, func(t *testing.T) {
			if settings != "" {
				if _, err := exec.LookPath("ssh"); err != nil {
					t.Skip("ssh -G: no ssh program")
				}
			}
			l := serveLoopback(t, &gliderlabs.Server{Handler: shellHandler("")}, settings)
			conn := dialSSH(t, sshconn.Options{Host: "here", ConfigFile: l.config})
			if got := says(t, conn, "echo", "hello"); got != "hello\n" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestSSHNoSessions(t *testing.T) {
	l := serveLoopback(t, &gliderlabs.Server{ChannelHandlers: map[string]gliderlabs.ChannelHandler{"none": nil}}, "")
	conn := dialSSH(t, sshconn.Options{Host: "here", ConfigFile: l.config, MaxWait: 200 * time.Millisecond})
	if _, err := conn.Run(t.Context(), &compute.Command{Args: []string{"true"}}); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

// Servers that are none, and names that are none.
func TestSSHNoServer(t *testing.T) {
	serve := func(talk func(net.Conn)) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				talk(c)
				c.Close()
			}
		}()
		t.Cleanup(func() { ln.Close(); <-done })
		return fmt.Sprint(ln.Addr().(*net.TCPAddr).Port)
	}
	silent := serve(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	rude := serve(func(net.Conn) {})
	for _, c := range []struct {
		name, settings string
		kind           error
		text           string
	}{
		{"silent", "HostName 127.0.0.1\n Port " + silent, compute.ErrTimeout, "within 1s"},
		{"rude", "HostName 127.0.0.1\n Port " + rude, compute.ErrUnavailable, "closed the connection"},
		{"bad port", "HostName 127.0.0.1\n Port ssh", compute.ErrInvalid, "port"},
		{"shell in a name", "HostName a;b", compute.ErrInvalid, "shell"},
		{"shell in a user", "User $(id)", compute.ErrInvalid, "shell"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := filepath.Join(t.TempDir(), "config")
			text := "Host x\n " + c.settings + "\n ConnectTimeout 1\n UserKnownHostsFile /dev/null\n IdentityFile /dev/null\n"
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			err := bounded(t, 20*time.Second, func() error {
				_, err := sshconn.Dial(context.Background(), sshconn.Options{Host: "x", ConfigFile: config})
				return err
			})
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %v and %q", err, c.kind, c.text)
			}
		})
	}
	for _, host := range []string{"", "-oProxyCommand=touch /tmp/x", "a b", "$(id)"} {
		if _, err := sshconn.Dial(t.Context(), sshconn.Options{Host: host, ConfigFile: os.DevNull}); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("host %q: %v, want ErrInvalid", host, err)
		}
	}
	if _, err := sshconn.Dial(t.Context(), sshconn.Options{Host: "x", ConfigFile: "/no/such/config"}); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("a configuration that is not there: %v, want ErrInvalid", err)
	}
}

// Files that others may change or read are not used, and named.
func TestSSHFilesOfOthers(t *testing.T) {
	l := serveLoopback(t, &gliderlabs.Server{Handler: shellHandler("")}, "")
	text, err := os.ReadFile(l.config)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("PATH", home) // no ssh program: that takes the home of the user database
	config, key := home+"/.ssh/config", filepath.Dir(l.config)+"/key"
	if err := os.Mkdir(filepath.Dir(config), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		config, key os.FileMode
		kind        error
		text        string // of the error, or its hint
	}{
		{0o600, 0o600, nil, ""}, {0o644, 0o400, nil, ""}, {0o620, 0o600, compute.ErrInvalid, config},
		{0o602, 0o600, compute.ErrInvalid, config},
		{0o600, 0o640, compute.ErrDenied, key}, {0o600, 0o604, compute.ErrDenied, key},
	} {
		for name, mode := range map[string]os.FileMode{config: c.config, key: c.key} {
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}
		conn, err := sshconn.Dial(t.Context(), sshconn.Options{Host: "here"})
		if err == nil {
			conn.Close()
		}
		if !errors.Is(err, c.kind) || c.kind == nil && err != nil ||
			err != nil && !strings.Contains(err.Error()+compute.Hint(err), c.text) {
			t.Errorf("%o, %o: got %v (%s), want %v with %q", c.config, c.key, err, compute.Hint(err), c.kind, c.text)
		}
	}
	if os.Geteuid() != 0 {
		return
	}
	for name, mode := range map[string]os.FileMode{config: 0o600, key: 0o600} {
		if err := errors.Join(os.Chown(name, 65534, 65534), os.Chmod(name, mode)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sshconn.Dial(t.Context(), sshconn.Options{Host: "here"}); !errors.Is(err, compute.ErrInvalid) ||
		!strings.Contains(err.Error(), config) {
		t.Errorf("another's configuration: got %v", err)
	}
}

// A host that means harm knows the script's word, and writes without an end: none of it is kept.
func TestSSHEndlessWords(t *testing.T) {
	const much, most = 96 << 20, 32 << 20 // a third of what is said; 13 MiB are seen
	flood := func(w io.Writer) {
		b := bytes.Repeat([]byte("x"), 1<<20)
		for range much / len(b) {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	}
	var seen atomic.Uint64
	grown := func(run func()) uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		base, done := m.HeapInuse, make(chan struct{})
		go func() {
			defer close(done)
			run()
		}()
		for seen.Store(base); ; {
			select {
			case <-done:
				return seen.Load() - base
			case <-time.After(20 * time.Millisecond):
				runtime.ReadMemStats(&m)
				seen.Store(max(seen.Load(), m.HeapInuse))
			}
		}
	}
	word := regexp.MustCompile(`\\036([0-9a-f]{24}) S`)
	for name, handler := range map[string]gliderlabs.Handler{
		"first line": func(s gliderlabs.Session) {
			line, _ := bufio.NewReader(s).ReadString('\n')
			if m := word.FindStringSubmatch(line); m != nil {
				_, _ = io.WriteString(s, "\x1e"+m[1]+" S ")
			}
			flood(s)
		},
		"answer": func(s gliderlabs.Session) {
			line, _ := bufio.NewReader(s).ReadString('\n')
			if m := word.FindStringSubmatch(line); m != nil {
				_, _ = io.WriteString(s, "\x1e"+m[1]+" S 99999999 99999999\n")
			}
			go flood(s.Stderr())
			flood(s)
			_ = s.Exit(0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := serveLoopback(t, &gliderlabs.Server{Handler: handler}, "")
			conn := dialSSH(t, sshconn.Options{Host: "here", ConfigFile: l.config})
			for what, ask := range map[string]func(ctx context.Context) error{
				"run": func(ctx context.Context) error {
					_, err := conn.Run(ctx, &compute.Command{Args: []string{"true"}})
					if name == "answer" {
						return errors.New("as it should")
					}
					return err
				},
				"put": func(ctx context.Context) error { return conn.Put(ctx, "/tmp", bytes.NewReader(entriesOf("f"))) },
				"copy": func(ctx context.Context) error {
					return remote.Copy(ctx, remote.Side{Conn: conn, Path: "~/f"}, remote.Side{Path: t.TempDir()}, remote.CopyOptions{})
				},
			} {
				ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
				var err error
				n := grown(func() { err = ask(ctx) })
				if err == nil || ctx.Err() != nil {
					t.Errorf("%s: got %v", what, err)
				}
				if n > most {
					t.Errorf("%s: memory grew by %d MiB", what, n>>20)
				}
				cancel()
			}
		})
	}
}

// "none" is no file, relative names start where we are.
func TestSSHFileNames(t *testing.T) {
	l := serveLoopback(t, &gliderlabs.Server{Handler: shellHandler("")}, "")
	b, err := os.ReadFile(l.config)
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ := strings.Cut(string(b), " IdentityFile")
	dir := filepath.Dir(l.config)
	_, stranger, _ := ed25519.GenerateKey(rand.Reader)
	other, _ := ssh.NewSignerFromKey(stranger)
	known, err := os.ReadFile(l.known)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, settings, none string // none: what stands in a file of this name, where we are
		kind                 error
		text                 string
	}{
		{"relative", " IdentityFile key\n UserKnownHostsFile nowhere ./known\n", "", nil, ""},
		{
			"no user's known hosts", " IdentityFile key\n UserKnownHostsFile none\n GlobalKnownHostsFile /dev/null\n",
			string(known), compute.ErrDenied, "not known",
		},
		{
			"no global known hosts", " IdentityFile key\n UserKnownHostsFile /dev/null\n GlobalKnownHostsFile None\n",
			string(known), compute.ErrDenied, "not known",
		},
		{"no key", " IdentityFile none\n UserKnownHostsFile known\n", "KEY", compute.ErrDenied, "by any key"},
		{
			"no certificate", " IdentityFile key\n CertificateFile none\n UserKnownHostsFile known\n",
			string(ssh.MarshalAuthorizedKey(other.PublicKey())), nil, "",
		},
		{
			"new keys nowhere",
			" IdentityFile key\n UserKnownHostsFile none\n GlobalKnownHostsFile global\n StrictHostKeyChecking accept-new\n",
			"", nil, "",
		},
	} {
		for how, last := range map[string]string{"library": "", "ssh -G": "Match all\n ServerAliveInterval 7\n"} {
			t.Run(c.name+" "+how, func(t *testing.T) {
				if _, err := exec.LookPath("ssh"); err != nil && last != "" {
					t.Skip("ssh -G: no ssh program")
				}
				here := t.TempDir()
				t.Chdir(here)
				key, err := os.ReadFile(dir + "/key")
				if err != nil {
					t.Fatal(err)
				}
				none := c.none
				if none == "KEY" {
					none = string(key)
				}
				for name, text := range map[string]string{
					"key": string(key), "known": string(known), "none": none, "None": none,
					"config": host + c.settings + last, "global": "",
				} {
					if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				conn, err := sshconn.Dial(t.Context(), sshconn.Options{Host: "here", ConfigFile: here + "/config"})
				if err == nil {
					defer conn.Close()
				}
				if !errors.Is(err, c.kind) || c.kind == nil && err != nil || c.kind != nil && !strings.Contains(err.Error(), c.text) {
					t.Errorf("got %v, want %v with %q", err, c.kind, c.text)
				}
				for _, name := range []string{"none", "global"} {
					if b, _ := os.ReadFile(name); name == "global" && len(b) > 0 || name == "none" && string(b) != none {
						t.Errorf("%s was written to: %q", name, b)
					}
				}
			})
		}
	}
}

// A host may show a certificate; then who signed it is what must be known, and not revoked.
func TestSSHHostCertificate(t *testing.T) {
	_, caKey, _ := ed25519.GenerateKey(rand.Reader)
	_, hostKey, _ := ed25519.GenerateKey(rand.Reader)
	ca, _ := ssh.NewSignerFromKey(caKey)
	host, _ := ssh.NewSignerFromKey(hostKey)
	authority := "@cert-authority [127.0.0.1]:* " + string(ssh.MarshalAuthorizedKey(ca.PublicKey()))
	for _, c := range []struct {
		name, principal, known, settings string
		good                             bool
	}{
		{"good", "127.0.0.1", authority, "", true},
		{"another's", "other.host", authority, "", false},
		{"new host", "127.0.0.1", "", " StrictHostKeyChecking accept-new\n", true},
		{"known host", "127.0.0.1", "* " + string(ssh.MarshalAuthorizedKey(host.PublicKey())), "", true},
		{"unknown host", "127.0.0.1", "", "", false},
		{
			"revoked", "127.0.0.1", authority + "@revoked * " + string(ssh.MarshalAuthorizedKey(host.PublicKey())),
			" StrictHostKeyChecking no\n", false,
		},
		{
			"revoked authority", "127.0.0.1",
			authority + "@revoked * " + string(ssh.MarshalAuthorizedKey(ca.PublicKey())), " StrictHostKeyChecking no\n",
			false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			cert := &ssh.Certificate{
				Key: host.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{c.principal},
				ValidBefore: ssh.CertTimeInfinity,
			}
			if err := cert.SignCert(rand.Reader, ca); err != nil {
				t.Fatal(err)
			}
			signer, err := ssh.NewCertSigner(cert, host)
			if err != nil {
				t.Fatal(err)
			}
			server := &gliderlabs.Server{Handler: shellHandler("")}
			server.AddHostKey(signer)
			server.AddHostKey(host)
			l := serveLoopback(t, server, c.settings)
			if err := os.WriteFile(l.known, []byte(c.known), 0o600); err != nil {
				t.Fatal(err)
			}
			conn, err := sshconn.Dial(t.Context(), sshconn.Options{Host: "here", ConfigFile: l.config})
			if err == nil {
				conn.Close()
			}
			if c.good != (err == nil) || !c.good && !errors.Is(err, compute.ErrDenied) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// entriesOf makes a stream of one file, with its name as its contents.
func entriesOf(name string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(name))})
	_, _ = io.WriteString(w, name)
	_ = w.Close()
	return b.Bytes()
}
