package service

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

// CheckPlatform returns an error if this machine cannot be a node.
func CheckPlatform() error { return nil }

// holdPIDFile writes this process to a file, and end removes it. The error is a *BusyError if
// another living process of this kind has the file.
func holdPIDFile(path string) (end func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fault.Invalid("pidfile in [slapos], or --pidfile, names another place", "%w", err)
	}
	for range 10 {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, fault.Invalid("pidfile in [slapos], or --pidfile, names another place", "%w", err)
		}
		busy := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
		text, _ := io.ReadAll(io.LimitReader(f, 100))
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		if busy || pid != os.Getpid() && isSlapos(pid) {
			_ = f.Close()
			return nil, &BusyError{path, pid}
		}
		mine, _ := f.Stat()
		there, err := os.Stat(path)
		if err != nil || !os.SameFile(mine, there) { // its holder has just removed it
			_ = f.Close()
			continue
		}
		if _, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0); err == nil {
			err = f.Truncate(int64(len(strconv.Itoa(os.Getpid()))))
		}
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		return func() { _, _ = os.Remove(path), f.Close() }, nil
	}
	return nil, &compute.Error{Kind: compute.ErrUnavailable, Err: fmt.Errorf("%s is made and taken away all the time", path)}
}

// isSlapos reports whether a process is SlapOS's own, by its command line. Processes of hostler do
// not count: they lock their file, so an unlocked file may have a number from before a reboot.
func isSlapos(pid int) bool {
	if pid <= 0 {
		return false
	}
	at := "/proc/" + strconv.Itoa(pid)
	line, err := os.ReadFile(at + "/cmdline")
	if err != nil || !bytes.Contains(line, []byte("slapos")) {
		return false
	}
	if is, err := os.Readlink(at + "/exe"); err == nil {
		self, err := os.Executable()
		return !(strings.HasPrefix(filepath.Base(is), "hostler") || err == nil && is == self)
	}
	return true
}
