package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/nodereport"
)

// A controller with [slap] is a master for those whom it knows, and for nobody else.
func TestSlaposServed(t *testing.T) {
	o := newYard(t, map[string]string{"sources/web/source.conf": "type = fake\n", "hostler.conf": "[slap]\ncomputer = COMP-1\n"})
	k := o.Serve("--no-fill", "--listen", "127.0.0.1:0")
	at := "http://" + k.Said(`serving listen=.*tcp:([0-9.:]+)`)
	secret, err := os.ReadFile(filepath.Join(o.Dir, ".local/state/hostler/controller.token"))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body, token string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, at+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	admin := strings.TrimSpace(string(secret))
	const supply = "url=u&computer_id=COMP-1&state=available"
	for _, path := range []string{
		"/slapos/getRunId", "/slapos/getFullComputerInformation?computer_id=COMP-1", "/slapos/getHateoasUrl",
		"/slapos/hateoas",
	} {
		if status, body := ask(http.MethodGet, path, "", ""); status != http.StatusForbidden {
			t.Errorf("%s without a token: %d %s", path, status, body)
		}
	}
	if status, body := ask(http.MethodPost, "/slapos/supplySupply", supply, "hst_wrong"); status != http.StatusForbidden {
		t.Errorf("with a wrong token: %d %s", status, body)
	}
	if status, body := ask(http.MethodPost, "/slapos/supplySupply", supply, admin); status != http.StatusOK ||
		body != "Supplied 'u' to be available" {
		t.Errorf(`status = %d body = %s; want status == http.StatusOK and body == "Supplied 'u' to be available"`, status, body)
	}
	if status, body := ask(
		http.MethodGet, "/slapos/getFullComputerInformation?computer_id=COMP-1", "", admin,
	); status != http.StatusOK || !strings.Contains(body, "SoftwareRelease") {
		t.Errorf(`status = %d body = %s; want status == http.StatusOK and body with "SoftwareRelease"`, status, body)
	}
	if _, body := ask(http.MethodGet, "/slapos/getHateoasUrl", "", admin); body != at+"/slapos/hateoas" {
		t.Errorf(`body = %s; want body == at+"/slapos/hateoas"`, body)
	}
	if status, _ := ask(http.MethodGet, "/v1/sources", "", admin); status != http.StatusOK {
		t.Errorf("the API: %d", status)
	}
	// What a node tells of what runs on it is in its status.
	post := func(method, body string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at+"/slapos/"+method, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+admin)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if text, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: text = %s; want answer.StatusCode == http.StatusOK", method, text)
		}
	}
	post(
		"slapos.put.v0.compute_node_format",
		`{"computer_guid": "COMP-1", "compute_partition_list": [{"partition_id": "p0", "ip_list": []}]}`,
	)
	post(nodereport.Method, `{"computer_guid": "COMP-1", "compute_partition_list": [{"partition_id": "p0", "process_list": [{"name": "a", "state": "RUNNING"}, {"name": "b", "state": "EXITED"},
		{"name": "c-on-watch", "state": "EXITED"}], "promise_list": [{"name": "check", "failed": true, "text": "no answer"}]}]}`)
	if out := o.run("status", "-v"); !regexp.MustCompile(`(?m)^COMP-1 +0 of 1 +1 of 3 +1 of 1 +`).MatchString(out) ||
		!strings.Contains(out, "COMP-1 p0:c-on-watch EXITED\nCOMP-1 p0: promise check failed: no answer\n") {
		t.Errorf("out = %s", out)
	}
	if out := o.run("status", "-v", "--json"); !strings.Contains(out, `"running": 1`) ||
		strings.Contains(o.run("status", "--json"), "COMP-1") {
		t.Errorf("out = %s; want out with `\"running\": 1` and o.run(\"status\", \"--json\") without \"COMP-1\"", out)
	}
	k.Stop()
}

// Nodes show certificates of the master's authority to a controller, which give them nothing but
// what is of their computer.
func TestSlaposServedCertificates(t *testing.T) {
	ca, cert, key := ownCertificate(t)
	o := newYard(
		t,
		map[string]string{
			"sources/web/source.conf": "type = fake\n",
			"hostler.conf":            "[slap]\nca-directory = " + filepath.Dir(ca.File) + "\n",
		},
	)
	k := o.Serve("--no-fill", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	at := "https://" + k.Said(`serving listen=.*tcp:([0-9.:]+)`)
	secret, err := os.ReadFile(filepath.Join(o.Dir, ".local/state/hostler/controller.token"))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(show *tls.Certificate, method, path, body, token string) (int, string) {
		t.Helper()
		roots := x509.NewCertPool()
		public, err := os.ReadFile(ca.File)
		if err != nil || !roots.AppendCertsFromPEM(public) {
			t.Fatal(err)
		}
		config := &tls.Config{RootCAs: roots}
		if show != nil {
			config.Certificates = []tls.Certificate{*show}
		}
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
		defer c.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), method, at+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	admin := strings.TrimSpace(string(secret))
	status, body := ask(nil, http.MethodPost, "/slapos/generateComputerCertificate", "computer_id=COMP-1", admin)
	v, err := proto.Unmarshal([]byte(body))
	pair, ok := v.(proto.Dictionary)
	if status != http.StatusOK || err != nil || !ok {
		t.Fatalf("status = %d body = %s; want status == http.StatusOK and no error and ok", status, body)
	}
	node, err := tls.X509KeyPair([]byte(pair["certificate"].(string)), []byte(pair["key"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	format := func(guid string) string {
		text, err := proto.Marshal(proto.Dictionary{"reference": guid, "address": "", "netmask": "", "partition_list": proto.List{}})
		if err != nil {
			t.Fatal(err)
		}
		return url.Values{"xml": {string(text)}}.Encode()
	}
	for _, c := range []struct {
		what         string
		show         *tls.Certificate
		method, path string
		body         string
		want         int
	}{
		{"its own", &node, http.MethodPost, "/slapos/loadComputerConfigurationFromXML", format("COMP-1"), http.StatusOK},
		{"another's", &node, http.MethodPost, "/slapos/loadComputerConfigurationFromXML", format("COMP-2"), http.StatusForbidden},
		{"its own to see", &node, http.MethodGet, "/slapos/getFullComputerInformation?computer_id=COMP-1", "", http.StatusOK},
		{"nobody's", nil, http.MethodGet, "/slapos/getFullComputerInformation?computer_id=COMP-1", "", http.StatusForbidden},
		{"nothing of the controller", &node, http.MethodGet, "/v1/sources", "", http.StatusUnauthorized},
		{"its own to revoke", &node, http.MethodPost, "/slapos/revokeComputerCertificate", "computer_id=COMP-1", http.StatusOK},
		{"revoked", &node, http.MethodGet, "/slapos/getFullComputerInformation?computer_id=COMP-1", "", http.StatusForbidden},
	} {
		if status, body := ask(c.show, c.method, c.path, c.body, ""); status != c.want {
			t.Errorf("%s: status = %d body = %s; want status == c.want", c.what, status, body)
		}
	}
	k.Stop()
}
