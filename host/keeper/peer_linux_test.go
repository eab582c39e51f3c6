package keeper_test

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/host/keeper"
)

// Even where the permissions of the socket fail, another user gets no answer.
func TestStrangers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("strangers: needs root")
	}
	dir := place(t)
	opt := options(dir, "", time.Minute)
	serve(t, opt)
	for path, mode := range map[string]os.FileMode{dir: 0o755, filepath.Dir(opt.Socket): 0o755, opt.Socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	said := make(chan string)
	go func() {
		// and never unlocked: the thread, with its user, ends with this goroutine
		runtime.LockOSThread()
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			said <- errno.Error()
			return
		}
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err == nil {
			err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: opt.Socket})
		}
		if err != nil {
			said <- err.Error()
			return
		}
		f := os.NewFile(uintptr(fd), "socket")
		defer f.Close()
		const ask = "\x01\x06status\x00\x00\x00\x00\x00\x00"
		io.WriteString(f, "HsKp\x00\x00\x00"+string(rune(len(ask)))+ask)
		p, err := io.ReadAll(f)
		if err != nil && len(p) == 0 {
			p = []byte("nothing: reset") // it did not even read what we said
		}
		said <- string(p)
	}()
	if got := <-said; got != "" && got != "nothing: reset" {
		t.Errorf("a stranger was told %q", got)
	}
	os.Chmod(filepath.Dir(opt.Socket), 0o700)
	if _, err := keeper.Ask(t.Context(), opt.Socket); err != nil {
		t.Errorf("we are not: %v", err)
	}
}
