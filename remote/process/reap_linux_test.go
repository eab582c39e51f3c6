package process_test

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestReaperClosed is a command that wants to change the file of its reaper's program: by /proc it
// could have it, whatever its root is.
func TestReaperClosed(t *testing.T) {
	program := reaper(t)
	dir, err := os.MkdirTemp("", "reaper")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file := filepath.Join(dir, "reaper")
	text, err := os.ReadFile(program[0])
	if err := errors.Join(err, os.Chmod(dir, 0o755), os.WriteFile(file, text, 0o755)); err != nil {
		t.Fatal(err)
	}
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 { // who may do everything may do this
		attr.Credential = &syscall.Credential{Uid: 12345, Gid: 12345}
		if err := os.Chown(file, 12345, 12345); err != nil {
			t.Fatal(err)
		}
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	t.Cleanup(func() { _ = ours.Close() })
	said := filepath.Join(dir, "said")
	out, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd := exec.CommandContext(t.Context(), file, program[1:]...)
	cmd.SysProcAttr, cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = attr, []*os.File{theirs}, out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()

	var spec []byte
	word := func(w string) { spec = append(binary.BigEndian.AppendUint32(spec, uint32(len(w))), w...) }
	words := func(all ...string) {
		spec = binary.BigEndian.AppendUint32(spec, uint32(len(all)))
		for _, w := range all {
			word(w)
		}
	}
	word("/bin/sh")
	word("/")
	words(
		"sh", "-c",
		"chmod 4777 /proc/$PPID/exe; echo chmod $?; ls /proc/$PPID/fd; echo ls $?; readlink /proc/self/exe >/dev/null; echo own $?",
	)
	words("PATH=/usr/bin:/bin", "LC_ALL=C")
	spec = binary.BigEndian.AppendUint32(spec, 0)
	if _, err := ours.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(spec))), spec...)); err != nil {
		t.Fatal(err)
	}
	var answers [8]byte // it runs; it has ended
	_ = ours.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.ReadFull(ours, answers[:]); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	b, _ := os.ReadFile(said)
	got := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			got[k] = v
		}
	}
	if n, _ := strconv.Atoi(got["chmod"]); n == 0 || !strings.Contains(string(b), "ermission denied") {
		t.Errorf("the reaper's file can be changed: %s", b)
	}
	if n, _ := strconv.Atoi(got["ls"]); n == 0 {
		t.Errorf("the reaper's files can be seen: %s", b)
	}
	if got["own"] != "0" {
		t.Errorf("the command cannot look at itself: %s", b)
	}
	if fi, err := os.Stat(file); err != nil || fi.Mode() != 0o755 {
		t.Errorf("the reaper's file: %v %v", fi.Mode(), err)
	}
}
