package main

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// mountTmpfs puts a small file system on a directory, as far as we may.
func mountTmpfs(t *testing.T, dir, size string, readOnly bool) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("tmpfs: only root may mount one")
	}
	flags := uintptr(0)
	if readOnly {
		flags = unix.MS_RDONLY
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", flags, "mode=0700,size="+size); err != nil {
		t.Skipf("tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}
