package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/host/socket"
)

// asked is one request to a controller, by the name of a host.
func asked(t *testing.T, c *http.Client, method, url, host, token, body string) (status int, header http.Header, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	out, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header, string(out)
}

// TestHosts asks a controller by names that are not its own, as a page does that has its own name
// lead to this machine, and by those that are.
func TestHosts(t *testing.T) {
	o := newYard(
		t,
		map[string]string{
			"sources/web/source.conf": "type = fake\n",
			"hostler.conf":            "[controller]\nhosts = proxy.example.org, *.example.net\n",
		},
	)
	at := o.Serve("--no-fill", "--listen", "127.0.0.1:0").Said(`tcp:(127\.0\.0\.1:[0-9]+)`)
	_, port, _ := net.SplitHostPort(at)
	token := o.token()
	for host, want := range map[string]int{
		at: http.StatusOK, "localhost:" + port: http.StatusOK, "LOCALHOST": http.StatusOK,
		"[::1]:" + port: http.StatusOK, "a.localhost": http.StatusOK,
		"proxy.example.org": http.StatusOK, "PROXY.example.org.:80": http.StatusOK, "a.b.example.net": http.StatusOK,
		"evil.example": 421, "evil.example:" + port: 421, "example.net": 421, "xproxy.example.org": 421,
		"localhost.evil.example": 421, "127.0.0.1.evil.example": 421,
		"10.1.2.3": 421, "0.0.0.0": 421, "[::]": 421, "127.1": 421, "2130706433": 421, "proxy.example.org@evil.example": 421,
	} {
		status, header, text := asked(t, http.DefaultClient, "GET", "http://"+at+"/v1/self", host, token, "")
		if status != want {
			t.Errorf("Host %s: status %d, want %d: %s", host, status, want, text)
		}
		if strings.Contains(text, "web") && status == 421 || header.Get("Strict-Transport-Security") != "" {
			t.Errorf("Host %s: %v %s", host, header, text)
		}
		if status == 421 && (header.Get("Content-Type") != api.ProblemType || !strings.Contains(text, "[controller]")) {
			t.Errorf("Host %s: no plain problem: %v %s", host, header, text)
		}
	}
	// as a kubelet asks, by the address of a pod
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, _, text := asked(t, http.DefaultClient, "GET", "http://"+at+path, "10.1.2.3:7070", "", ""); status != http.StatusOK {
			t.Errorf("%s: status = %d text = %s; want status == http.StatusOK", path, status, text)
		}
	}
	for _, path := range []string{"/", "/openapi.json", "/metrics", "/v1/login", "/nothing", "/healthz/../v1/sources"} {
		if status, _, text := asked(t, http.DefaultClient, "GET", "http://"+at+path, "evil.example", token, ""); status != 421 {
			t.Errorf("%s by another name: %d %s", path, status, text)
		}
	}
	socket := filepath.Join(o.Dir, "run", "hostler", socket.SocketName)
	own := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	if status, _, text := asked(t, own, "GET", "http://unix/v1/self", "anything", "", ""); status != http.StatusOK {
		t.Errorf("by the socket: %d %s", status, text)
	}
}

// TestHostsTLS has a controller with a certificate be called as that says, and browsers told that
// it speaks TLS alone.
func TestHostsTLS(t *testing.T) {
	o := newYard(t, map[string]string{"sources/web/source.conf": "type = fake\n"})
	cert, key := selfSigned(t, o.Dir, "hostler.example.org")
	at := o.Serve("--no-fill", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key).Said(`tcp:(127\.0\.0\.1:[0-9]+)`)
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for host, want := range map[string]int{"hostler.example.org": http.StatusOK, "localhost": http.StatusOK, "evil.example": 421} {
		status, header, text := asked(t, c, "GET", "https://"+at+"/v1/self", host, o.token(), "")
		if status != want {
			t.Errorf("Host %s: %d %s", host, status, text)
		}
		if strict := header.Get("Strict-Transport-Security") != ""; strict != (host == "hostler.example.org") {
			t.Errorf("Host %s: Strict-Transport-Security %q", host, header.Get("Strict-Transport-Security"))
		}
	}
}

// TestExactKeys: a key in another case, or one that is there twice, is an error at every door.
func TestExactKeys(t *testing.T) {
	o := newYard(t, map[string]string{"sources/web/source.conf": "type = fake\n", "hostler.conf": "[slap]\ncomputer = COMP-1\n"})
	at := o.Serve("--no-fill", "--listen", "127.0.0.1:0").Said(`tcp:(127\.0\.0\.1:[0-9]+)`)
	for _, c := range []struct{ path, body string }{
		{"/v1/leases", `{"SOURCE":"web"}`},
		{"/v1/leases", `{"source":"web","Flavor":"x"}`},
		{"/v1/leases", `{"source":"web","source":"other"}`},
		{"/v1/leases", `{"source":"web","labels":{"a":"1","a":"2"}}`},
		{"/v1/leases", `{"source":"web","IMAGE":"x"}`},
		{"/v1/tokens", `{"name":"a","NAME":"b"}`},
		{"/slapos/slapos.allDocs.v0.compute_node_instance_list", `{"portal_type":"Software Instance","portal_type":"X"}`},
	} {
		status, _, text := asked(t, http.DefaultClient, "POST", "http://"+at+c.path, "", o.token(), c.body)
		if status < 400 || status >= 500 {
			t.Errorf(
				"c.path = %s c.body = %s: status = %d text = %s"+
					"; want status >= 400 and status < 500",
				c.path, c.body, status, text,
			)
		}
	}
	status, _, text := asked(
		t, http.DefaultClient, "POST", "http://"+at+"/v1/leases", "", o.token(),
		`{"source":"web","labels":{"a":"1","A":"2"}}`,
	)
	if status != http.StatusCreated || !json.Valid([]byte(text)) {
		t.Errorf("labels in two cases: %d %s", status, text)
	}
}

// TestBodyThatNeverComes: such a request to a SlapOS master holds its connection for some seconds,
// and no longer. It takes as long as a body has to come, 5 s.
func TestBodyThatNeverComes(t *testing.T) {
	t.Parallel()
	o := newYard(t, map[string]string{"hostler.conf": "[slap]\ncomputer = COMP-1\n"})
	at := o.Serve("--no-fill", "--listen", "127.0.0.1:0").Said(`tcp:(127\.0\.0\.1:[0-9]+)`)
	token := o.token()
	ended := make(chan string, 4)
	paths := []string{"/slapos/slapos.post.v0.software_instance", "/slapos/requestComputerPartition", "/slapos/nowhere"}
	for _, path := range paths {
		go func() {
			c, err := net.Dial("tcp", at)
			if err != nil {
				ended <- err.Error()
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			fmt.Fprintf(
				c,
				"POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
				path, token,
			)
			var all bytes.Buffer
			_, err = io.Copy(&all, bufio.NewReader(c))
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				ended <- path + " holds its connection, and said " + all.String()
				return
			}
			ended <- ""
		}()
	}
	for range paths {
		if bad := <-ended; bad != "" {
			t.Error(bad)
		}
	}
}

// selfSigned makes a certificate of a name, and its key, in files.
func selfSigned(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	public, err := x509.CreateCertificate(rand.Reader, c, c, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "named.crt"), filepath.Join(dir, "named.key")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// token is that of the controller's own user.
func (o *yard) token() string {
	o.t.Helper()
	text, err := os.ReadFile(filepath.Join(o.Dir, ".local", "state", "hostler", "controller.token"))
	if err != nil {
		o.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
