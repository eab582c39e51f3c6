package cli

import (
	"testing"

	"github.com/hostler-project/hostler/api"
)

// TestPresented names the file of a token that is empty, in place of asking without one.
func TestPresented(t *testing.T) {
	t.Setenv("HOSTLER_TOKEN", "")
	t.Setenv("HOSTLER_TOKEN_FILE", "/dev/null")
	if _, err := presented(); err == nil || api.Text(err) != "$HOSTLER_TOKEN_FILE: /dev/null is empty" {
		t.Errorf("got %v, want that /dev/null is empty", err)
	}
}
