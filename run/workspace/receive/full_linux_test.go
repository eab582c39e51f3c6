package receive_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace/receive"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/workspace/send"
)

// TestSmallDisk keeps workspaces on a disk that is too small, and goes on when it has grown; and on
// one that takes no writes.
func TestSmallDisk(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", unix.MS_NOSUID, "size=3m,mode=755"); err != nil {
		t.Skipf("TestSmallDisk: no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := open(t, receive.Options{Dir: filepath.Join(disk, "spaces")})
	list := &scan.Tree{Root: t.TempDir()}
	for _, name := range []string{"a", "b", "c", "d"} { // 1 MiB each, in this order
		body := make([]byte, 1<<20)
		_, _ = rand.Read(body)
		file := filepath.Join(list.Root, name)
		if err := errors.Join(os.WriteFile(file, body, 0o644), os.Chtimes(file, epoch, epoch)); err != nil {
			t.Fatal(err)
		}
		list.Entries = append(
			list.Entries,
			scan.Entry{Path: name, Kind: scan.File, Mode: 0o644, Size: 1 << 20, ModTime: epoch.UnixNano(), Sum: sha256.Sum256(body)},
		)
	}
	list.ID = scan.ID(list.Entries)
	_, err := s.try(t, list, send.Options{})
	if !errors.Is(err, compute.ErrFailed) || !strings.Contains(err.Error(), "the disk there is full") ||
		!strings.Contains(compute.Hint(err), "kept for the next run") {
		t.Fatalf("on a full disk: %v", err)
	}
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_NOSUID, "size=32m"); err != nil {
		t.Fatal(err)
	}
	res := s.sync(t, list, send.Options{})
	if res.Files == 0 || res.Files >= 4 {
		t.Errorf("of 4 files %d were sent after the disk had grown: what had arrived was to be kept", res.Files)
	}
	for _, e := range list.Entries {
		here, err1 := os.ReadFile(filepath.Join(list.Root, e.Path))
		there, err2 := os.ReadFile(filepath.Join(s.dir, "w", e.Path))
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(here, there) {
			t.Errorf("%s is not there as it is here: %v", e.Path, err)
		}
	}
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_RDONLY, "size=32m"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.try(t, list, send.Options{}); err == nil || !strings.Contains(err.Error(), "takes no writes") {
		t.Errorf("on a disk that is read-only: %v", err)
	}
}
