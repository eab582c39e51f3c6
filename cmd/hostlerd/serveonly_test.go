package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// TestServeAlone: a state in a file has one controller at a time, whatever socket the second one
// was to have; one that was killed keeps nobody out.
func TestServeAlone(t *testing.T) {
	o := newYard(t, outsideSources)
	k := o.Serve("--no-fill")
	second := []string{"serve", "--no-fill", "--socket", filepath.Join(t.TempDir(), "second.sock")}
	if text := o.Fail(second...); !strings.Contains(text, "a controller serves the state in") ||
		!strings.Contains(text, "docs/postgres.md") {
		t.Errorf("the second controller of a state: %s", text)
	}
	k.kill()
	o.Serve(second[1:]...).Stop()
}

// TestServeTaken: an address that something else has is said to be in use.
func TestServeTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := newYard(t, outsideSources)
	for _, flag := range []string{"--listen", "--metrics"} {
		if text := o.Fail("serve", "--no-fill", flag, l.Addr().String()); !strings.Contains(
			text, flag+" "+l.Addr().String()+": the address is in use",
		) {
			t.Errorf(`%s: text = %s; want text with flag + " " + l.Addr().String() + ": the address is in use"`, flag, text)
		}
	}
}
