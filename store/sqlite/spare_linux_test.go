package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSpareHalfMade: what a process left that died while it made the spare is made anew at once;
// what one that lives is at is left alone.
func TestSpareHalfMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	spare := path + "-spare"
	if err := mustOpen(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.Stat(spare)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(spare, 1000); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(spare, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Len: 1}); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, path)
	if fi, err := os.Stat(spare); err != nil || fi.Size() != 1000 {
		t.Errorf("one that somebody is at: %v %v", fi, err)
	}
	if err := f.Close(); err != nil { // as with the end of its process
		t.Fatal(err)
	}
	mustOpen(t, path)
	if fi, err := os.Stat(spare); err != nil || fi.Size() != whole.Size() {
		t.Errorf("one that was left: %v %v", fi, err)
	}
}
