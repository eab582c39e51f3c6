package image_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/layer"
	"github.com/hostler-project/hostler/provider"
)

// based is a store with one image, and an upper layer over it as overlay leaves one: a file more,
// one less, a directory made anew.
func based(t *testing.T) (s *image.Store, base image.Image, upper string) {
	t.Helper()
	s, tarball := open(t), filepath.Join(t.TempDir(), "base.tar")
	root := archive(t, dir("etc"), file("etc/low", "low"), file("etc/gone", "low"), dir("old"), file("old/inner", "low"))
	if err := os.WriteFile(tarball, root, 0o600); err != nil {
		t.Fatal(err)
	}
	base, err := s.Pull(t.Context(), tarball, image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	upper = t.TempDir()
	whiteout := file("etc/.wh.gone", "")
	over := archive(t, dir("etc"), file("etc/new", "new"), whiteout, file("etc/machine-id", "this one's"), dir("old"), file("old/.wh..wh..opq", ""), file("old/mine", "new"),
		file("one", "linked"), hardlink("two", "one"), dir("tmp"), file("tmp/x", "x"))
	if err := image.Unpack(t.Context(), upper, bytes.NewReader(over), os.Geteuid() == 0); err != nil {
		t.Fatal(err)
	}
	return s, base, upper
}

func TestCommit(t *testing.T) {
	s, base, upper := based(t)
	owners := os.Geteuid() == 0
	c := image.Change{Base: base.Digest, Dir: upper, Owners: owners, Skip: provider.MachineOwn, Labels: map[string]string{"k": "v"}}
	img, err := s.Commit(t.Context(), c, "localhost/built:1")
	if err != nil {
		t.Fatal(err)
	}
	if img.Name != "localhost/built:1" || img.Config.Labels["k"] != "v" || len(img.Layers) < 2 ||
		img.Layers[0].DiffID != base.Layers[0].DiffID {
		t.Errorf("made %+v", img)
	}
	for name, want := range map[string]string{"etc/low": "low", "etc/new": "new", "old/mine": "new", "one": "linked", "two": "linked"} {
		if got := read(t, img, name); got != want {
			t.Errorf("%s: %q, and should be %q", name, got, want)
		}
	}
	for _, name := range []string{"etc/gone", "old/inner", "etc/machine-id", "tmp/x"} {
		if b, err := layer.ReadIn(img.Dirs(), name); err == nil {
			t.Errorf("%s is there: %q", name, b)
		}
	}
	var one, two unix.Stat_t
	top := img.Layers[1].Dir
	if err := errors.Join(unix.Lstat(top+"/one", &one), unix.Lstat(top+"/two", &two)); err != nil || one.Ino != two.Ino {
		t.Errorf("what was one file is two: %v", err)
	}
	if again, err := s.Commit(t.Context(), c, "localhost/built:1"); err != nil || again.Layers[1].DiffID != img.Layers[1].DiffID {
		t.Errorf("the same once more: %v, %v", again.Layers, err)
	}
	if l := leftovers(t, s); len(l) > 0 {
		t.Errorf("left: %q", l)
	}
	if users, err := s.Users(base.Digest); len(users) > 0 || err != nil {
		t.Errorf("the base is used by %q, %v", users, err)
	}
}

// TestCommitUsers: what users of the computer own is theirs in the image, whatever their numbers on
// the host are.
func TestCommitUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("users: only root gives files away")
	}
	s, base, upper := based(t)
	const first = 300000
	mine := filepath.Join(upper, "etc", "new")
	capability := make([]byte, 24)
	binary.LittleEndian.PutUint32(capability, 0x03000001)
	binary.LittleEndian.PutUint32(capability[4:], 1<<10)
	binary.LittleEndian.PutUint32(capability[20:], first)
	acl := []byte{2, 0, 0, 0}
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 6, 0xffffffff}, {2, 4, first + 7}, {4, 4, 0xffffffff}, {0x10, 4, 0xffffffff}, {0x20, 4, 0xffffffff}} {
		acl = binary.LittleEndian.AppendUint16(acl, e.tag)
		acl = binary.LittleEndian.AppendUint16(acl, e.perm)
		acl = binary.LittleEndian.AppendUint32(acl, e.id)
	}
	if err := errors.Join(os.Chown(mine, first+5, first+6), unix.Setxattr(mine, "security.capability", capability, 0)); err != nil {
		t.Fatal(err)
	}
	hasACL := unix.Setxattr(mine, "system.posix_acl_access", acl, 0) == nil
	img, err := s.Commit(t.Context(), image.Change{Base: base.Digest, Dir: upper, Owners: true, Users: first}, "localhost/built:1")
	if err != nil {
		t.Fatal(err)
	}
	there := img.Layers[1].Dir + "/etc/new"
	var st unix.Stat_t
	if err := unix.Lstat(there, &st); err != nil || st.Uid != 5 || st.Gid != 6 {
		t.Errorf("it is %d's and %d's, %v", st.Uid, st.Gid, err)
	}
	if err := unix.Lstat(img.Layers[1].Dir+"/one", &st); err != nil || st.Uid != 65534 {
		t.Errorf("what is of another of the host's users is %d's, %v", st.Uid, err)
	}
	got := make([]byte, 64)
	if n, err := unix.Getxattr(there, "security.capability", got); err != nil || n != 20 || binary.LittleEndian.Uint32(got) != 0x02000001 {
		t.Errorf("capabilities: %x, %v", got[:max(n, 0)], err)
	}
	if n, err := unix.Getxattr(there, "system.posix_acl_access", got); hasACL &&
		(err != nil || n != len(acl) || binary.LittleEndian.Uint32(got[16:]) != 7) {
		t.Errorf("access list: %x, %v", got[:max(n, 0)], err)
	}
}

func TestCommitRefuses(t *testing.T) {
	s, base, upper := based(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		c    image.Change
		as   string
		want error
	}{
		{"no base", t.Context(), image.Change{Base: "sha256:" + strings.Repeat("0", 64), Dir: upper}, "x:1", compute.ErrNotFound},
		{"no directory", t.Context(), image.Change{Base: base.Digest, Dir: upper + "/none"}, "x:1", syscall.ENOENT},
		{"no name", t.Context(), image.Change{Base: base.Digest, Dir: upper}, "/x", compute.ErrInvalid},
		{"ended", ended, image.Change{Base: base.Digest, Dir: upper}, "x:1", context.Canceled},
	} {
		if _, err := s.Commit(c.ctx, c.c, c.as); !errors.Is(err, c.want) {
			t.Errorf("%s: err = %v; want error c.want", c.name, err)
		}
	}
	if all, err := s.List(); err != nil || len(all) != 1 {
		t.Errorf("there are %v, %v", all, err)
	}
	if l := leftovers(t, s); len(l) > 0 {
		t.Errorf("left: %q", l)
	}
}

// TestAlone: one at a time, and others after it.
func TestAlone(t *testing.T) {
	s := open(t)
	free, err := s.Alone(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.Alone(t.Context(), "y")
	if err != nil {
		t.Fatal(err)
	}
	other()
	got := make(chan error, 1)
	go func() {
		second, err := s.Alone(t.Context(), "x")
		if err == nil {
			second()
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("two at once, %v", err)
	default:
	}
	free()
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	free, err = s.Alone(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer free()
	cancel()
	if _, err := s.Alone(ended, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

// TestCommitWhole: a tree over nothing is an image of one layer.
func TestCommitWhole(t *testing.T) {
	s, _, upper := based(t)
	img, err := s.Commit(
		t.Context(),
		image.Change{Dir: upper, Owners: os.Geteuid() == 0, Skip: provider.MachineOwn, Labels: map[string]string{"k": "v"}},
		"localhost/built:1",
	)
	if err != nil {
		t.Fatal(err)
	}
	if len(img.Layers) != 1 || img.Config.Labels["k"] != "v" || img.Platform.Arch != runtime.GOARCH || read(t, img, "etc/new") != "new" {
		t.Errorf("made %+v", img)
	}
	if l := leftovers(t, s); len(l) > 0 {
		t.Errorf("left: %q", l)
	}
}
