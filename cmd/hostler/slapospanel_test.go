package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slap"
)

// TestSlaposPanelKeepsToInstances: where nodes are told apart, one may say that a partition has an address of this machine alone; by the page's way to instances nobody comes there, whoever
// asks. Where everybody may do everything he does.
func TestSlaposPanelKeepsToInstances(t *testing.T) {
	secret := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "this machine's own") }))
	defer secret.Close()
	local := strings.TrimPrefix(secret.URL, "http://")
	c := configuration("COMP-1")
	var addresses slap.List
	for _, ip := range []string{"127.0.0.1", "::1", "169.254.169.254", "0.0.0.0"} {
		addresses = append(addresses, slap.Dictionary{"addr": ip, "netmask": "255.255.255.255"})
	}
	c["partition_list"].(slap.List)[0].(slap.Dictionary)["address_list"] = addresses
	see := func(browser *http.Client, url, host string) (int, string) {
		t.Helper()
		answer, err := browser.Get(url + "/http_proxy/http/" + host + "/")
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
	for _, mode := range []string{"required", "optional"} {
		g := newGuarded(t, mode)
		for name, of := range map[string]string{"COMP-1": "computer", "root": "user"} {
			if err := g.certificate(of, name, &slaposCertificate{admin: of == "user"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.as("COMP-1").Configure(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		config, err := slap.TLS(filepath.Join(g.dir, "root.crt"), filepath.Join(g.dir, "root.key"), filepath.Join(g.dir, "ca", "ca.crt"))
		if err != nil {
			t.Fatal(err)
		}
		browser := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
		defer browser.CloseIdleConnections()
		port := local[strings.LastIndexByte(local, ':'):]
		for _, host := range []string{local, "[::1]" + port, "169.254.169.254", "0.0.0.0" + port, "[::ffff:127.0.0.1]" + port} {
			if status, text := see(browser, g.url, host); status != http.StatusForbidden || !strings.Contains(text, "No partition has this address") {
				t.Errorf("%s, %s: %d %s", mode, host, status, text)
			}
		}
	}
	url, end := proxied(t, proxyConfiguration(t, proxyFile), &slaposProxy{})
	defer func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	}()
	open, err := slap.NewClient(slap.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := open.Configure(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if status, text := see(http.DefaultClient, url, local); status != http.StatusOK || text != "this machine's own" {
		t.Errorf("without certificates: %d %s", status, text)
	}
}
