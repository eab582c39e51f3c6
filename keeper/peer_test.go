package keeper_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/keeper"
)

// Even where the permissions of the socket fail, another user gets no answer.
func TestStrangers(t *testing.T) {
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("strangers: needs root on Linux")
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
		runtime.LockOSThread() // and never unlocked: the thread, with its user, ends with this goroutine
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

func TestGarbageHurtsNobody(t *testing.T) {
	dir := place(t)
	opt := options(dir, "", time.Minute)
	serve(t, opt)
	for _, say := range []string{"", "GET / HTTP/1.1\r\n\r\n", "HsKp\xff\xff\xff\xff", "HsKp\x00\x00\x00\x02{]", "HsKp\x00\x00\x00\x09\x01\x07connect", "HsKp\x00"} {
		nc, err := net.Dial("unix", opt.Socket)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close() // those that say too little stay until the end
		io.WriteString(nc, say)
	}
	c, err := keeper.Dial(t.Context(), opt.Socket, request(""))
	if err != nil {
		t.Fatal(err)
	}
	output(t, c, "true")
	c.Close()
	nc, err := net.Dial("unix", opt.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	const ask = "\x09\x07connectand what we cannot know"
	io.WriteString(nc, "HsKp\x00\x00\x00"+string(rune(len(ask)))+ask)
	if p, _ := io.ReadAll(nc); !bytes.Contains(p, []byte("HsKp\x00\x00\x00\x04\x01\x01\x00\x00")) {
		t.Errorf("a client of another version is told %q", p)
	}
}
