//go:build linux

package mask_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/sandbox/mask"
)

func TestPlace(t *testing.T) {
	var a, b unix.Stat_t
	if unix.Lstat("/dev/shm", &a) != nil || unix.Lstat("/", &b) != nil || a.Dev == b.Dev {
		t.Skip("place: no file system in memory at /dev/shm")
	}
	first, err := os.MkdirTemp("/dev/shm", "mask")
	if err != nil {
		t.Skip("place: " + err.Error())
	}
	defer os.RemoveAll(first)
	if dir, err := mask.Place("/", filepath.Join(first, "x")); err != nil || dir != filepath.Join(first, "x") {
		t.Errorf(`dir = %s err = %v; want no error and dir == filepath.Join(first, "x")`, dir, err)
	}
	if dir, err := mask.Place("/", t.TempDir()); err == nil && !strings.HasPrefix(dir, "/dev/shm/") {
		var c unix.Stat_t
		if unix.Lstat(dir, &c); c.Dev == b.Dev {
			t.Errorf("%s is on the file system of /", dir)
		}
	}
}

// TestPlaceOfRoot finds another's directory where root's should be, and takes the one that nobody
// else can make.
func TestPlaceOfRoot(t *testing.T) {
	var a, b unix.Stat_t
	if os.Geteuid() != 0 || unix.Lstat("/dev/shm", &a) != nil || unix.Lstat("/", &b) != nil || a.Dev == b.Dev {
		t.Skip("place of root: needs root, and a file system in memory at /dev/shm")
	}
	dir, err := os.MkdirTemp("/dev/shm", "mask")
	if err != nil {
		t.Skip("place of root: " + err.Error())
	}
	defer os.RemoveAll(dir)
	run, shm, theirs := filepath.Join(dir, "run"), filepath.Join(dir, "shm"), filepath.Join(dir, "shm", "hostler-mask-0")
	if err := errors.Join(os.Mkdir(run, 0o755), os.Mkdir(shm, 0o755), os.Mkdir(theirs, 0o700), os.Chown(theirs, 12345, 12345)); err != nil {
		t.Fatal(err)
	}
	if got, err := mask.PlaceIn("/", "", run, shm); err != nil || got != filepath.Join(run, "hostler", "masks") {
		t.Errorf(`got = %s err = %v; want no error and got == filepath.Join(run, "hostler", "masks")`, got, err)
	}
	if fi, err := os.Stat(filepath.Join(run, "hostler")); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("fi = %v err = %v; want no error and fi.Mode().Perm() == 0o700", fi, err)
	}
	if got, err := mask.PlaceIn("/", "", "", shm); err == nil ||
		!strings.Contains(err.Error(), "belongs to user 12345") || !strings.Contains(err.Error(), "remove it") {
		t.Errorf(
			"got = %s err = %v"+
				`; want an error and err.Error() with "belongs to user 12345" and err.Error() with "remove it"`,
			got, err,
		)
	}
	if err := os.Chmod(run, 0o777); err != nil {
		t.Fatal(err)
	}
	if got, err := mask.PlaceIn("/", "", run, shm); err == nil || !strings.Contains(err.Error(), "for others to write to") {
		t.Errorf("in a directory of everybody's: %s %v", got, err)
	}
	if err := errors.Join(os.Chmod(run, 0o755), os.Chown(run, 12345, 12345)); err != nil {
		t.Fatal(err)
	}
	if got, err := mask.PlaceIn("/", filepath.Join(run, "masks"), "", ""); err == nil ||
		!strings.Contains(err.Error(), "belongs to user 12345") {
		t.Errorf("in a directory of another's: %s %v", got, err)
	}
	// Nothing is made on the file system that is hidden from.
	if got, err := mask.PlaceIn(dir, "", shm, ""); err == nil {
		t.Errorf("on the same file system: %s", got)
	}
	if _, err := os.Stat(filepath.Join(shm, "hostler")); err == nil {
		t.Error("it made a directory that it does not want")
	}
}
