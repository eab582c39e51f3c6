package registry

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/image"
)

// TestRefusal says in plain words that a registry is not reached, and keeps the cause.
func TestRefusal(t *testing.T) {
	for want, err := range map[string]error{
		"the registry r:5 refuses the connection":                          &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
		"the registry r:5: its name does not resolve: is there a network?": &net.DNSError{Name: "r", IsNotFound: true},
		"something else": errors.New("something else"),
	} {
		got := refusal(image.Name{Host: "r:5"}, fmt.Errorf("get: %w", err))
		if want == "something else" {
			want = "get: something else"
		}
		if got.Error() != want || !errors.Is(got, err) {
			t.Errorf("got %q, want %q with its cause", got, want)
		}
	}
}
