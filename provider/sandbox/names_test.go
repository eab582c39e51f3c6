//go:build linux

package sandbox_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox"
	"github.com/hostler-project/hostler/provider/sandbox/mask"
)

// TestNames: what directories are called means nothing: that of the state, of the home, of an
// image.
func TestNames(t *testing.T) { oddNames(t) }

func TestNamesAsUser(t *testing.T) {
	if asUser(t) {
		oddNames(t)
	}
}

func oddNames(t *testing.T) {
	base, err := os.MkdirTemp("", "hostler-test-*")
	if err == nil {
		err = os.Chmod(base, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	busybox, _ := exec.LookPath("busybox") // without it there is no image
	for _, odd := range []string{"a,b", "a:b", `a\b`, "a b", "a\nb", `a"b'c`, "a=b,upperdir=x", `a\,b\:c\\d`, "…", "a\tb\x01"} {
		home, image := filepath.Join(base, odd, "home"), filepath.Join(base, odd, "image")
		err := errors.Join(os.MkdirAll(filepath.Join(home, ".config", "gh"), 0o755),
			os.WriteFile(filepath.Join(home, ".config", "gh", "key"), []byte("SECRET"), 0o644),
			os.WriteFile(filepath.Join(home, ".config", "seen"), []byte("seen\n"), 0o644), os.MkdirAll(filepath.Join(image, "bin"), 0o755))
		if err != nil {
			t.Fatal(err)
		}
		images := []string{""}
		if busybox != "" {
			if out, err := exec.CommandContext(t.Context(), "cp", busybox, filepath.Join(image, "bin", "sh")).CombinedOutput(); err != nil {
				t.Fatalf("err = %v, out = %s; want no error", err, string(out))
			}
			images = append(images, image)
		}
		for _, image := range images {
			for _, upper := range []string{"ram", "disk"} {
				p := open(
					t,
					sandbox.Options{Dir: filepath.Join(base, odd, "state"+upper), Home: home, Upper: upper, Show: []string{"~/.config"}},
				)
				oddName(t, p, image)
				gone(t, p, "odd")
			}
		}
	}
}

// oddName tries a sandbox.
func oddName(t *testing.T, p *sandbox.Provider, image string) {
	t.Helper()
	in, err := p.Create(t.Context(), compute.Spec{ID: "odd", Image: image})
	// these are refused, and it is said why
	if strings.ContainsFunc(image, func(r rune) bool { return r < ' ' }) {
		if !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), "not the name of an image") {
			t.Errorf("image %q: %v", image, err)
		}
		return
	}
	if err != nil {
		t.Errorf("image %q: %v", image, err)
		return
	}
	c, err := p.Connect(t.Context(), "odd")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out bytes.Buffer
	script, want := `cd "$HOME/.config" && read -r a <seen && echo $a && { test ! -e gh || echo a secret; } && echo x `+
		`>written && read -r b <written && echo $b`, "seen\nx\n"
	if image != "" {
		script, want = `echo y >/written && read -r b </written && echo $b`, "y\n"
	}
	exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"/bin/sh", "-c", script}, Stdout: &out, Stderr: &out})
	if err != nil || exit.Status() != 0 || strings.TrimSpace(out.String()) != strings.TrimSpace(want) {
		t.Errorf("%s, image %q: %v, %v, %q", in.ProviderID, image, exit, err, out.String())
	}
}

// TestMaskStays: the layer that hides secrets is not pruned while it lies in a sandbox, and is when
// it does no more. An ordinary user's has its own copy.
func TestMaskStays(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mask: an ordinary user's sandboxes copy it")
	}
	place, err := os.MkdirTemp("/dev/shm", "hostler-test-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(place) })
	p := open(t, sandbox.Options{Dir: t.TempDir(), Runtime: place})
	if _, err := p.Create(t.Context(), compute.Spec{ID: "mask"}); err != nil {
		t.Fatal(err)
	}
	pruned := func() bool {
		t.Helper()
		if err := mask.Prune(place, time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		old, _ := filepath.Glob(place + "/old-*")
		return len(old) > 0
	}
	if pruned() {
		t.Error("pruned in use")
	}
	if _, err := p.Clean(t.Context(), "mask"); err != nil {
		t.Fatal(err)
	}
	if pruned() {
		t.Error("pruned in use, after it was cleaned")
	}
	gone(t, p, "mask")
	if !pruned() {
		t.Error("not pruned when nobody used it")
	}
	if _, err := p.Create(t.Context(), compute.Spec{ID: "mask"}); err != nil {
		t.Error(err)
	}
	gone(t, p, "mask")
}
