package kubernetes_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/kubernetes"
)

// save writes a file whole, as who rotates secrets does.
func save(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	err := os.WriteFile(path+".new", []byte(text), mode)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// asUser is the lab's kubeconfig with another user.
func asUser(t *testing.T, how string) string {
	t.Helper()
	text, err := os.ReadFile(lab.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^  user: .*$`).ReplaceAllLiteralString(string(text), "  user: "+how)
}

// accounts makes service accounts that may do what a source needs, and returns a token of each.
func accounts(t *testing.T, o kubernetes.Options, names ...string) map[string]string {
	t.Helper()
	all := role("all", kubernetes.Grants(o))
	for _, name := range names {
		all += fmt.Sprintf("---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: %[1]s}\n---\napiVersion: "+
			"rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: account-%[1]s}\n"+
			"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: all}\nsubjects: [{kind: ServiceAccount, "+
			"name: %[1]s, namespace: %[2]s}]\n", name, o.Namespace)
	}
	lab.Ctl(t, all, "apply", "-n", o.Namespace, "-f", "-")
	out := map[string]string{}
	for _, name := range names {
		out[name] = strings.TrimSpace(lab.Ctl(t, "", "create", "token", name, "-n", o.Namespace))
	}
	return out
}

// TestRotated has tokens be replaced under sources that are in use, in each way in which a
// kubeconfig can name one, and those before be revoked: watch, calls and exec, of connections too
// that were open before, go on. A source whose token nobody replaced says so.
func TestRotated(t *testing.T) {
	o := site(t)
	o.Way = "exec" // each command has to be let in
	tokens := accounts(t, o, "old", "new")
	dir := t.TempDir()
	tokenFile, said, script := filepath.Join(dir, "token"), filepath.Join(dir, "credential"), filepath.Join(dir, "credential.sh")
	save(t, script, "#!/bin/sh\nexec cat "+said+"\n", 0o755)
	credential := func(token string) string {
		return fmt.Sprintf(`{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":%q}}`, token)
	}
	inline := func(token string) string { return asUser(t, "{token: "+token+"}") }
	config := func(name string) string { return filepath.Join(dir, name) }
	save(t, tokenFile, tokens["old"], 0o600)
	save(t, said, credential(tokens["old"]), 0o600)
	save(t, config("file"), asUser(t, "{tokenFile: "+tokenFile+"}"), 0o600)
	save(
		t, config("plugin"),
		asUser(t, "{exec: {apiVersion: client.authentication.k8s.io/v1, command: "+script+", interactiveMode: Never}}"),
		0o600,
	)
	save(t, config("inline"), inline(tokens["old"]), 0o600)
	save(t, config("stale"), inline(tokens["old"]), 0o600)

	ways := []string{"file", "plugin", "inline", "stale"}
	sources, conns := map[string]*kubernetes.Provider{}, map[string]compute.Conn{}
	for _, way := range ways {
		o := o
		o.Kubeconfig, o.Source = config(way), way
		sources[way] = open(t, o)
		computetest.Eventually(t, way+": it may", func() error { return second(sources[way].Probe(t.Context(), compute.Spec{})) })
		conns[way] = ready(t, sources[way], compute.ID(way+"-1"))
		if list, err := sources[way].List(t.Context()); err != nil || len(list) != 1 {
			t.Fatalf("%s: List: %v %v", way, list, err)
		}
	}
	save(t, tokenFile, tokens["new"], 0o600)
	save(t, said, credential(tokens["new"]), 0o600)
	save(t, config("inline"), inline(tokens["new"]), 0o600)
	lab.Ctl(t, "", "delete", "serviceaccount", "old", "-n", o.Namespace)
	lab.Stop(t, "apiserver") // it ends watches, and forgets whom it knew
	if err := lab.Up(); err != nil {
		t.Fatal(err)
	}
	for _, way := range ways {
		want := compute.ErrDenied
		if way != "stale" {
			want = nil
		}
		try := func(what string, do func() error) {
			t.Helper()
			computetest.Eventually(t, way+": "+what, func() error {
				err := do()
				switch {
				case want == nil || err == nil && want != nil:
					if err == nil && want != nil {
						return errors.New("it still may")
					}
					return err
				case errors.Is(err, want) &&
					strings.Contains(
						err.Error(), "the cluster does not know us (the user admin of "+config("stale")+", by a token)",
					) && !strings.Contains(err.Error(), tokens["old"]):
					return nil
				}
				return fmt.Errorf("got %w", err)
			})
		}
		p := sources[way]
		try("a command on a connection of before", func() error {
			exit, err := conns[way].Run(t.Context(), &compute.Command{Args: []string{"true"}})
			if err == nil && exit.Code != 0 {
				return fmt.Errorf("%+v", exit)
			}
			return err
		})
		try("a pod", func() error { return second(p.Create(t.Context(), compute.Spec{ID: compute.ID(way + "-2")})) })
		if way == "stale" {
			continue
		}
		enter(t, p, compute.ID(way+"-2"))
		lab.Ctl(t, "", "delete", "pods", "-n", o.Namespace, "-l", "hostler-project.github.io/source="+way, "--wait=false")
		try("the watch tells", func() error {
			list, err := p.List(t.Context())
			if err == nil && len(list) > 0 {
				return fmt.Errorf("%v", list)
			}
			return err
		})
	}
}

// authority signs certificates of clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	text, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err == nil {
		of, err = x509.ParseCertificate(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &authority{of, key}
}

// sign writes a certificate with a serial number, and its key.
func (a *authority) sign(t *testing.T, serial int64, cert, key string) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	text, err := x509.CreateCertificate(rand.Reader, of, a.cert, own.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	save(t, key, block("PRIVATE KEY", der), 0o600)
	save(t, cert, block("CERTIFICATE", text), 0o600)
}

// TestCertificateReplaced has a client's certificate be replaced under a source in use: what the
// API server says no to is tried with the new one at once. The lab's API server knows nobody by
// certificates, so one before it does, as the API server would: by the certificate of the
// connection, at each request.
func TestCertificateReplaced(t *testing.T) {
	t.Parallel()
	o := site(t)
	text, err := os.ReadFile(lab.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	field := func(re string) string { return regexp.MustCompile(re).FindStringSubmatch(string(text))[1] }
	server, err := url.Parse(field(`server: "([^"]*)"`))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if ca, err := os.ReadFile(field(`certificate-authority: "([^"]*)"`)); err != nil || !pool.AppendCertsFromPEM(ca) {
		t.Fatal(err)
	}
	ca, good := newAuthority(t), new(atomic.Int64)
	good.Store(2)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(server)
			r.Out.Header.Set("Authorization", "Bearer "+field(`token: "([^"]*)"`))
		},
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}},
		FlushInterval: -1,
	}
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.PeerCertificates[0].SerialNumber.Int64() != good.Load() {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write(
				[]byte(
					`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized",` +
						`"reason":"Unauthorized","code":401}`,
				),
			)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	clients := x509.NewCertPool()
	clients.AddCert(ca.cert)
	front.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	front.StartTLS()
	t.Cleanup(func() { front.CloseClientConnections(); front.Close() })

	dir := t.TempDir()
	cert, key, trust := filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")
	save(t, trust, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})), 0o600)
	ca.sign(t, 2, cert, key)
	o.Kubeconfig = filepath.Join(dir, "config")
	save(t, o.Kubeconfig, fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
clusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}], users: [{name: u, user: {client-certificate: %q, client-key: %q}}]}`, front.URL, trust, cert, key), 0o600)
	p := open(t, o)
	conn := ready(t, p, "suite-1")

	good.Store(3)
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-2"}); !errors.Is(err, compute.ErrDenied) ||
		!strings.Contains(err.Error(), "the user u of "+o.Kubeconfig+", by the certificate "+cert) {
		t.Errorf("with a certificate that does not hold any more: %v", err)
	}
	ca.sign(t, 3, cert, key)
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-2"}); err != nil {
		t.Errorf("with a new certificate: %v", err)
	}
	enter(t, p, "suite-2")
	var out bytes.Buffer
	if _, err := conn.Run(
		context.Background(), &compute.Command{Args: []string{"echo", "on"}, Stdout: &out},
	); err != nil || out.String() != "on\n" {
		t.Errorf("on the connection of before: %q %v", &out, err)
	}
}
