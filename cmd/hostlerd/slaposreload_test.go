package main

import (
	"strings"
	"testing"

	"github.com/hostler-project/hostler/client"
)

// TestSlaposReload has a reload say where the master fetches what releases say of themselves, from
// then on.
func TestSlaposReload(t *testing.T) {
	t.Setenv("PATH", plainPath(t))
	m := newMachine(t)
	m.conf("[slap]\ncomputer = COMP-1\n[fetch]\nallow = loopback\n")
	at := startController(t, m.env, m.work, m.runtime(), t.Cleanup, "--listen", "127.0.0.1:0", "--no-fill")
	c, err := client.New(client.Options{URL: at, Token: m.token()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if said, err := c.SlapOS().Software(t.Context(), described(t)); err != nil || said.Name != "Demo" {
		t.Fatalf(`said = %+v err = %v; want no error and said.Name == "Demo"`, said, err)
	}
	m.conf("[slap]\ncomputer = COMP-1\n")
	m.must("reload")
	if said, err := c.SlapOS().Software(t.Context(), described(t)); err != nil || !strings.Contains(said.Unknown, "fetches from") {
		t.Errorf("after the reload: %+v %v", said, err)
	}
}
