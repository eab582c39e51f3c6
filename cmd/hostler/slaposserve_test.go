package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A controller with [slap] is a master for those whom it knows, and for nobody else.
func TestSlaposServed(t *testing.T) {
	o := newYard(t, map[string]string{"sources/web/source.conf": "type = fake\n", "hostler.conf": "[slap]\ncomputer = COMP-1\n"})
	k := o.serve("--no-fill", "--listen", "127.0.0.1:0")
	at := "http://" + k.said(`serving listen=.*tcp:([0-9.:]+)`)
	secret, err := os.ReadFile(filepath.Join(o.dir, ".local/state/hostler/controller.token"))
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
	for _, path := range []string{"/slapos/getRunId", "/slapos/getFullComputerInformation?computer_id=COMP-1", "/slapos/getHateoasUrl", "/slapos/hateoas"} {
		if status, body := ask(http.MethodGet, path, "", ""); status != http.StatusForbidden {
			t.Errorf("%s without a token: %d %s", path, status, body)
		}
	}
	if status, body := ask(http.MethodPost, "/slapos/supplySupply", supply, "hst_wrong"); status != http.StatusForbidden {
		t.Errorf("with a wrong token: %d %s", status, body)
	}
	if status, body := ask(http.MethodPost, "/slapos/supplySupply", supply, admin); status != http.StatusOK || body != "Supplied 'u' to be available" {
		t.Errorf("%d %s", status, body)
	}
	if status, body := ask(http.MethodGet, "/slapos/getFullComputerInformation?computer_id=COMP-1", "", admin); status != http.StatusOK || !strings.Contains(body, "SoftwareRelease") {
		t.Errorf("%d %s", status, body)
	}
	if _, body := ask(http.MethodGet, "/slapos/getHateoasUrl", "", admin); body != at+"/slapos/hateoas" {
		t.Errorf("%s", body)
	}
	if status, _ := ask(http.MethodGet, "/v1/sources", "", admin); status != http.StatusOK {
		t.Errorf("the API: %d", status)
	}
	k.stop()
}
