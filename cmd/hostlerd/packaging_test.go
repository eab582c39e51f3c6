package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/host/program"
)

// TestUnits: systemd finds nothing wrong with the units, and hostler knows the options that they
// give it.
func TestUnits(t *testing.T) {
	units, err := filepath.Glob("../../packaging/systemd/*")
	if err != nil || len(units) < 3 {
		t.Fatalf("units = %v, err = %v; want no error and len(units) >= 3", units, err)
	}
	dir := t.TempDir()
	hostler := lookIn(plainPath(t), "hostler")
	var files []string
	for _, u := range units {
		text, err := os.ReadFile(u)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if words, ok := strings.CutPrefix(line, "ExecStart=/usr/local/bin/hostler "); ok {
				var out, errs errorText
				cmd, rest, err := whole.Tree(cli.NewApp(nil, &out, &errs)).Find(strings.Fields(words))
				if err == nil {
					err = cmd.ParseFlags(rest)
				}
				if err != nil {
					t.Errorf("%s: line = %q: err = %v; want no error", u, line, err)
				}
			}
		}
		file := filepath.Join(dir, filepath.Base(u))
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/hostler", hostler)), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	analyze := tool(t, "systemd-analyze")
	// man: the pages are packaged elsewhere.
	out, err := exec.Command(analyze, append([]string{"verify", "--man=no"}, files...)...).CombinedOutput()
	if err != nil || strings.Contains(string(out), dir) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// certificate makes one for this machine, with its key, and returns the pool that trusts it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(&x509.Certificate{Raw: der, RawSubject: c.RawSubject})
	if parsed, err := x509.ParseCertificate(der); err == nil {
		pool = x509.NewCertPool()
		pool.AddCert(parsed)
	}
	return pool
}

// podman runs it, in surroundings that it can work in on machines with control groups of both
// versions.
func podman(args ...string) *exec.Cmd {
	script := `umount /sys/fs/cgroup/unified 2>/dev/null; exec podman --cgroup-manager=cgroupfs "$@"`
	return exec.Command("unshare", append([]string{"-m", "sh", "-c", script, "sh"}, args...)...)
}

// TestContainerfile: the image is built, serves by HTTPS, stops when it is told, and finds its
// state again.
func TestContainerfile(t *testing.T) {
	tool(t, "podman")
	tool(t, "unshare")
	if os.Getuid() != 0 {
		t.Skip("podman: only root is sure to have it here")
	}
	dir, etc, state := t.TempDir(), t.TempDir(), t.TempDir()
	image, name := "localhost/hostler-test-"+filepath.Base(filepath.Dir(dir)), "hostler-test-"+filepath.Base(filepath.Dir(dir))
	image = strings.ToLower(image)
	for _, d := range []string{"bin", "etc"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(dir, "packaging"), os.DirFS("../../packaging")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hostler", program.Whole} {
		if err := copyFile(lookIn(plainPath(t), name), filepath.Join(dir, "bin", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := podman(
		"build", "--build-arg", "BASE=scratch", "-t", image, "-f", filepath.Join(dir, "packaging", "Containerfile"), dir,
	).CombinedOutput(); err != nil {
		if os.Getenv("HOSTLER_REQUIRE_LAB") != "" {
			t.Fatalf("podman build: %v\n%s", err, out)
		}
		t.Skipf("podman: cannot build here: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = podman("rmi", "-f", image).Run() })
	trusted := certificate(t, etc)
	if err := os.MkdirAll(filepath.Join(etc, "sources", "web"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(etc, "sources", "web", "source.conf"), []byte("type = fake\nspare = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{etc, state, filepath.Dir(etc)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(state, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	_ = l.Close()
	web := &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}, DisableKeepAlives: true},
		Timeout:   10 * time.Second,
	}
	ask := func(method, path, body string) (int, string) {
		token, _ := os.ReadFile(filepath.Join(state, "hostler", "controller.token"))
		if len(token) == 0 {
			token, _ = os.ReadFile(filepath.Join(state, "controller.token"))
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "https://"+at+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		r.Header.Set("Content-Type", "application/json")
		answer, err := web.Do(r)
		if err != nil {
			return 0, err.Error()
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}
	for round := range 2 {
		var said errorText
		// No more rights than the image asks for; the limits are what a machine without
		// CAP_SYS_RESOURCE can give.
		cmd := podman("run", "--rm", "--network", "host", "--cap-drop", "all", "--read-only", "--ulimit", "nofile=1000:1000",
			"--ulimit", "nproc=1000:1000", "--name", name,
			"-v", etc+":/etc/hostler:ro", "-v", state+":/var/lib/hostler", image, "serve", "--listen", at, "--tls-cert",
			"/etc/hostler/tls.crt", "--tls-key", "/etc/hostler/tls.key")
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		stop := func() { _ = podman("rm", "-f", "-t", "0", name).Run() }
		t.Cleanup(stop)
		for limit := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
			if status, _ := ask("GET", "/readyz", ""); status == 200 {
				break
			}
			select {
			case err := <-ended:
				if os.Getenv("HOSTLER_REQUIRE_LAB") == "" && strings.Contains(said.String(), "crun") {
					t.Skipf("podman: cannot run here: %s", &said)
				}
				t.Fatalf("round %d: it ended: %v\n%s", round, err, &said)
			default:
			}
			if time.Now().After(limit) {
				stop()
				t.Fatalf("round %d: it is not ready: %s", round, &said)
			}
		}
		if round == 0 {
			if status, text := ask("POST", "/v1/leases", `{"source": "web", "name": "kept"}`); status/100 != 2 {
				t.Errorf("a lease: %d %s", status, text)
			}
		} else if status, text := ask("GET", "/v1/leases/kept", ""); status != 200 {
			t.Errorf("the lease after a restart: %d %s", status, text)
		}
		if out, err := podman(
			"exec", name, "/usr/local/bin/hostler", "status", "web", "--query", "in-use",
		).CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "1" {
			t.Errorf("status inside: %v %s", err, out)
		}
		if out, err := podman("stop", "-t", "30", name).CombinedOutput(); err != nil {
			t.Errorf("stop: %v %s", err, out)
		}
		var exit *exec.ExitError
		if err := <-ended; errors.As(err, &exit) {
			t.Errorf("round %d: it ended with %v\n%s", round, err, &said)
		}
	}
}
