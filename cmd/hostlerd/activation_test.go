package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/host/socket"
)

// TestServeUnderSystemd: a controller takes the socket that systemd has opened, says when it is
// ready, reads its configuration anew at SIGHUP, and says that it stops.
func TestServeUnderSystemd(t *testing.T) {
	dir, err := os.MkdirTemp("", "hostler") // sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	env := append(append(os.Environ(), environment(t, dir)...), "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	heard, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	hear := func(want string) {
		t.Helper()
		_ = heard.SetReadDeadline(time.Now().Add(time.Minute))
		for b := make([]byte, 4096); ; {
			n, err := heard.Read(b)
			if err != nil {
				t.Fatalf("no %s: %v", want, err)
			}
			if strings.Contains(string(b[:n]), want) {
				return
			}
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "activated.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	// by the released programs, as hostler has to hand the socket over to hostlerd
	cmd := exec.Command("sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" serve`, lookIn(plainPath(t), "hostler"))
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Env, cmd.Dir, cmd.ExtraFiles, cmd.Stderr = env, dir, []*os.File{f}, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	l.SetUnlinkOnClose(false)
	_ = l.Close() // systemd has it, and here the controller alone
	ended := false
	t.Cleanup(func() {
		if !ended {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("%s", text)
		}
	})
	hear("READY=1")
	if _, err := os.Stat(filepath.Join(dir, "run", "hostler", socket.SocketName)); err == nil {
		t.Error("it has opened a socket of its own too")
	}
	hostler := func(args ...string) string {
		t.Helper()
		c := exec.Command("hostler", append([]string{"--controller", "unix:" + filepath.Join(dir, "activated.sock")}, args...)...)
		c.Env = env
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("hostler %q: %v %s", args, err, out)
		}
		return string(out)
	}
	if out := hostler("acquire", "-s", "local"); out != "local-local\n" {
		t.Errorf("acquire: %q", out)
	}
	source := filepath.Join(dir, "home", ".config", "hostler", "sources", "late")
	if err := os.MkdirAll(source, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(source, "source.conf"), []byte("type = fake\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	hear("RELOADING=1")
	hear("READY=1")
	if out := hostler("acquire", "-s", "late"); out != "late-1\n" {
		t.Errorf("acquire after SIGHUP: %q", out)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hear("STOPPING=1")
	ended = true
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
}
