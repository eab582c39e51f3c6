package process_test

import (
	"net"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/remote/process"
)

// Whoever changes the way to a socket while it is opened does not lead it out of the root.
func TestRootSocketRace(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	if err := os.Mkdir(root+"/d", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, root+"/l"); err != nil {
		t.Fatal(err)
	}
	e := process.New(process.Options{Root: root, Chroot: true})
	defer func() { _ = e.Close() }()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, root+"/d", unix.AT_FDCWD, root+"/l", unix.RENAME_EXCHANGE)
			}
		}
	})
	made := 0
	for range 3000 {
		l, err := e.Listen(t.Context(), "unix", "/d/made")
		if err != nil {
			continue
		}
		made++
		if _, err := os.Lstat(outside + "/made"); err == nil {
			t.Error("a socket was made outside")
		}
		_ = l.Close()
	}
	if made == 0 {
		t.Error("no socket was made at all")
	}
	out, err := net.Listen("unix", outside+"/s")
	if err != nil {
		t.Fatal(err)
	}
	wg.Go(func() {
		for {
			c, err := out.Accept()
			if err != nil {
				return
			}
			t.Error("a connection came outside")
			_ = c.Close()
		}
	})
	close(stop)
	_ = os.Remove(outside + "/made")
	wg2 := sync.WaitGroup{}
	in, err := net.Listen("unix", root+"/s")
	if err != nil {
		t.Fatal(err)
	}
	in.(*net.UnixListener).SetUnlinkOnClose(false)
	reached := 0
	wg2.Go(func() {
		for {
			c, err := in.Accept()
			if err != nil {
				return
			}
			reached++
			_ = c.Close()
		}
	})
	for _, d := range []string{"/d", "/l"} { // whichever is the directory now
		if fi, err := os.Lstat(root + d); err == nil && fi.IsDir() {
			_ = os.Rename(root+"/s", root+d+"/s")
		}
	}
	stop2 := make(chan struct{})
	wg2.Go(func() {
		for {
			select {
			case <-stop2:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, root+"/d", unix.AT_FDCWD, root+"/l", unix.RENAME_EXCHANGE)
			}
		}
	})
	for range 3000 {
		if c, err := e.Dial(t.Context(), "unix", "/d/s"); err == nil {
			_ = c.Close()
		}
	}
	close(stop2)
	_ = in.Close()
	_ = out.Close()
	wg.Wait()
	wg2.Wait()
	if reached == 0 {
		t.Error("no connection was made at all")
	}
}
