package tree_test

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/remote/tree"
)

// A full disk ends it, names the file, and leaves no half of one.
func TestUnpackFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("full disk: needs root, to mount a small one")
	}
	dst := t.TempDir()
	if err := syscall.Mount("tmpfs", dst, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("full disk: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dst, syscall.MNT_DETACH) })
	write(t, dst+"/big", "old", 0o600)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	big := make([]byte, 4<<20)
	_, _ = rand.Read(big)
	for _, f := range []struct {
		name string
		body []byte
	}{{"small", []byte("S")}, {"big", big}, {"after", []byte("A")}} {
		_ = w.WriteHeader(&tar.Header{Name: f.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(f.body))})
		_, _ = w.Write(f.body)
	}
	_ = w.Close()
	r, err := os.OpenRoot(dst)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	err = tree.Unpack(t.Context(), r, &b, tree.Options{})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "big") {
		t.Errorf("got %v, want one that names the file", err)
	}
	sameTree(t, dst, map[string]string{"small": "S", "big": "old"})
}
