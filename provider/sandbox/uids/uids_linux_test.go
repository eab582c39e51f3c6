package uids_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/sandbox/uids"
)

const nobody = 65534

// TestFile: what others have had their hands in is not trusted.
func TestFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("uids: they are root's")
	}
	for name, prepare := range map[string]func(dir string) error{
		"":                     func(string) error { return nil },
		"a directory for all":  func(dir string) error { return os.Chmod(dir, 0o777) },
		"another's directory":  func(dir string) error { return os.Chown(dir, nobody, nobody) },
		"a link":               func(dir string) error { return os.Symlink("/etc/passwd", dir+"/uids") },
		"a fifo":               func(dir string) error { return unix.Mkfifo(dir+"/uids", 0o600) },
		"another's file":       func(dir string) error { return file(dir+"/uids", 0o600, nobody) },
		"a file for all":       func(dir string) error { return file(dir+"/uids", 0o666, 0) },
		"a link for directory": func(dir string) error { return swap(dir) },
	} {
		dir := filepath.Join(t.TempDir(), "run")
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			err = prepare(dir)
		}
		if err != nil {
			t.Fatalf("%v, err = %v; want no error", name, err)
		}
		f, err := uids.Open(dir, "uids")
		if err == nil {
			f.Close()
		}
		if (err == nil) != (name == "") {
			t.Errorf(`%s: err = %v; want (err == nil) == (name == "")`, name, err)
		}
	}
}

func file(name string, mode os.FileMode, uid int) error {
	if err := os.WriteFile(name, nil, mode); err != nil {
		return err
	}
	if err := os.Chmod(name, mode); err != nil {
		return err
	}
	return os.Chown(name, uid, uid)
}

// swap puts a link to a directory in its place.
func swap(dir string) error {
	if err := os.Rename(dir, dir+"-real"); err != nil {
		return err
	}
	return os.Symlink(dir+"-real", dir)
}
