//go:build linux

package mask_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/sandbox/mask"
)

// sandbox is what the process inside is told.
type sandbox struct {
	Lower  string // the host's root
	Layer  string // "": none
	Apart  []string
	Attack bool
}

// seen is what the process inside saw.
type seen struct {
	Secrets []string
	Plain   []string
	Attacks int
}

func TestMain(m *testing.M) {
	if what := os.Getenv("HOSTLER_MASK_CHILD"); what != "" {
		if err := inside(what); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child runs this program as who does, with name spaces of users and mounts if spaces.
func child(t *testing.T, who person, spaces bool, what string, in any) []byte {
	t.Helper()
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = []string{"HOSTLER_MASK_CHILD=" + what, quick()}
	cmd.Stdin = bytes.NewReader(text)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if os.Geteuid() != who.uid {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(who.uid), Gid: uint32(who.uid)}
	}
	switch {
	case spaces && os.Geteuid() != who.uid:
		// one process to become the user, and another for the spaces
		cmd.Env = []string{"HOSTLER_MASK_CHILD=nested:" + what, quick()}
	case spaces:
		cmd.SysProcAttr = spaced(who.uid)
	}
	out, err := cmd.Output()
	if err != nil {
		if msg := stderr.String(); who.uid != 0 && strings.Contains(msg, "operation not permitted") && strings.Contains(msg, "fork/exec") {
			t.Skip("user name spaces: this machine does not let a user make them")
		}
		t.Fatalf("%v: stderr = %s; want no error", err, stderr.String())
	}
	return out
}

// quick is what this process was told of the race detector, which sleeps before a program ends
// unless it is told not to.
func quick() string { return "GORACE=" + os.Getenv("GORACE") }

func spaced(uid int) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if uid != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return a
}

// enter looks around in a sandbox.
func enter(t *testing.T, who person, s sandbox) seen {
	t.Helper()
	var out seen
	text := child(t, who, true, "look", s)
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%v: text = %s; want no error", err, text)
	}
	return out
}

// inside is the child's main.
func inside(what string) error {
	if next, ok := strings.CutPrefix(what, "nested:"); ok {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{"HOSTLER_MASK_CHILD=" + next, quick()}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.SysProcAttr = spaced(os.Geteuid())
		return cmd.Run()
	}
	if what == "make" {
		var in struct {
			Dir     string
			Options mask.Options
		}
		if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
			return err
		}
		m, err := mask.Make(context.Background(), in.Dir, in.Options)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(m)
	}
	var s sandbox
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return err
	}
	root := filepath.Join(filepath.Dir(s.Lower), "mnt")
	if err := s.mount(root); err != nil {
		return err
	}
	out := seen{}
	out.look(root)
	if s.Attack {
		if err := out.attack(root, s); err != nil {
			return err
		}
		out.look(root)
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

func (s *sandbox) mount(root string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make private: %w", err)
	}
	lower, err := os.Open(s.Lower)
	if err != nil {
		return err
	}
	over := func(at string, n int) error {
		fd := func(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }
		l, err := os.Open(fd(lower) + at)
		if err != nil {
			return err
		}
		dirs := fd(l)
		if s.Layer != "" {
			if _, err := os.Lstat(s.Layer + at); err == nil {
				dirs = s.Layer + at + ":" + dirs
			}
		}
		up := fmt.Sprintf("/dev/shm/%d", n)
		if err := os.MkdirAll(up+"/u", 0o755); err != nil {
			return err
		}
		if err := os.MkdirAll(up+"/w", 0o755); err != nil {
			return err
		}
		if err := os.MkdirAll(root+at, 0o755); err != nil {
			return err
		}
		return unix.Mount("overlay", root+at, "overlay", 0, "userxattr,lowerdir="+dirs+",upperdir="+up+"/u,workdir="+up+"/w")
	}
	if err := unix.Mount("tmpfs", "/dev/shm", "tmpfs", 0, ""); err != nil {
		return err
	}
	if err := over("", 0); err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	for i, at := range s.Apart {
		if err := over(at, i+1); err != nil {
			return fmt.Errorf("overlay of %s: %w", at, err)
		}
	}
	return nil
}

// look reads all that there is.
func (s *seen) look(root string) {
	_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		text, _ := os.ReadFile(p)
		switch {
		case bytes.Contains(text, []byte("SECRET")):
			s.Secrets = append(s.Secrets, strings.TrimPrefix(p, root))
		case bytes.HasPrefix(text, []byte("plain")):
			s.Plain = append(s.Plain, strings.TrimPrefix(p, root))
		}
		return nil
	})
}

// attack does to every path of the layer what might bring back what is under it.
func (s *seen) attack(root string, box sandbox) error {
	var places []string
	err := filepath.WalkDir(box.Layer, func(p string, d fs.DirEntry, err error) error {
		if err == nil && p != box.Layer {
			places = append(places, strings.TrimPrefix(p, box.Layer))
		}
		return err
	})
	if err != nil {
		return err
	}
	for i, at := range places {
		p := root + at
		s.Attacks++
		look := func() {
			for _, inner := range []string{"", "/token", "/letter"} {
				if text, _ := os.ReadFile(p + inner); bytes.Contains(text, []byte("SECRET")) {
					s.Secrets = append(s.Secrets, at+inner)
				}
			}
		}
		_ = unix.Removexattr(p, "user.overlay.opaque")
		_ = unix.Setxattr(p, "user.overlay.opaque", []byte("n"), 0)
		_ = unix.Setxattr(p, "user.overlay.redirect", []byte(at), 0)
		look()
		fi, err := os.Lstat(p)
		if err == nil && fi.IsDir() && i%2 == 0 {
			continue // it stays, for what is in it
		}
		side := fmt.Sprintf("%s/side%d", path.Dir(p), i)
		_ = unix.Unlink(p)
		_ = unix.Rmdir(p)
		_ = os.Mkdir(p, 0o755) // what is in it would show if it were merged with the host's
		look()
		_ = unix.Rename(p, side)
		look()
		_ = os.Mkdir(side, 0o755)
		_ = unix.Renameat2(unix.AT_FDCWD, side, unix.AT_FDCWD, p, unix.RENAME_NOREPLACE)
		look()
		_ = unix.Setxattr(p, "trusted.overlay.redirect", []byte(at), 0)
		_ = os.Mkdir(side, 0o755)
		_ = unix.Renameat2(unix.AT_FDCWD, side, unix.AT_FDCWD, p, unix.RENAME_EXCHANGE)
		_ = unix.Renameat2(unix.AT_FDCWD, side, unix.AT_FDCWD, p, unix.RENAME_WHITEOUT)
		look()
		_ = os.RemoveAll(p)
		_ = unix.Link("/proc/self/exe", p)
		look()
		_ = os.Remove(p)
	}
	// The tree once more, bound and as the lower layer of another overlay.
	other := "/dev/shm/other"
	if err := os.Mkdir(other, 0o755); err != nil {
		return err
	}
	_ = unix.Mount(root, other, "", unix.MS_BIND|unix.MS_REC, "")
	s.look(other)
	_ = unix.Mount("overlay", other, "overlay", 0, "lowerdir="+root+":/dev/shm,redirect_dir=on")
	s.look(other)
	_ = unix.Mount("overlay", other, "overlay", 0, "userxattr,lowerdir="+root+":/dev/shm")
	s.look(other)
	return nil
}
