package image_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/registry"
)

// TestBadNames says what is wrong with what cannot be pulled, and asks nobody for what is a file's
// name.
func TestBadNames(t *testing.T) {
	s, err := image.Open(filepath.Join(t.TempDir(), "images"), image.Options{Registry: registry.Client{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	home := t.TempDir()
	t.Setenv("HOME", home)
	for name, text := range map[string]string{"empty.tar": "", "bad.tar": "hello\n", "bad.tgz": "\x1f\x8b\x08"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("plain", 0o700); err != nil {
		t.Fatal(err)
	}
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := dead.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	defer func() {
		_ = dead.Close()
		<-done
	}()
	for _, c := range []struct {
		ref, says string
		kind      error
	}{
		{"nosuch.tar", "no such file", compute.ErrNotFound},
		{"no/such.tgz", "no such file", compute.ErrNotFound},
		{"~/nosuch.tar", filepath.Join(home, "nosuch.tar") + ": not found: no such file", compute.ErrNotFound},
		{"dir:~/share", filepath.Join(home, "share") + ": not found: no such directory", compute.ErrNotFound},
		{"sha256:abcdef0", "no image of this digest here", compute.ErrNotFound},
		{"oci:plain", "is no OCI layout", compute.ErrInvalid},
		{"oci:none", "no such file", compute.ErrNotFound},
		{"Foo Bar", "not the name of an image", compute.ErrInvalid},
		{"empty.tar", "the file is empty", compute.ErrFailed},
		{"bad.tar", "is no tar archive, or its end is missing", compute.ErrFailed},
		{"bad.tgz", "not a whole gzip stream", compute.ErrFailed},
		{dead.Addr().String() + "/x.tar", "", compute.ErrUnavailable},
	} {
		_, err := s.Pull(t.Context(), c.ref, image.PullOptions{})
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v %q", c.ref, err, c.kind, c.says)
		}
		if c.says == "" {
			t.Log(err)
		}
	}
}
