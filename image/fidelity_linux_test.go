package image_test

import (
	"archive/tar"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/image/layer"
)

// someCapability is cap_net_raw=ep as the kernel keeps it.
const someCapability = "0100000200200000000000000000000000000000"

// everything is a layer with one of each kind.
func everything() []entry {
	with := func(e entry, f func(h *tar.Header)) entry { f(&e.Header); return e }
	long := strings.Repeat("d", 200) + "/" + strings.Repeat("e", 200) + "/" + strings.Repeat("f", 250)
	cap, _ := hex.DecodeString(someCapability)
	return []entry{
		with(dir("."), func(h *tar.Header) { h.Mode = 0o751 }),
		file("plain", "text"),
		with(file("owned", "x"), func(h *tar.Header) { h.Uid, h.Gid, h.Mode = 33, 44, 0o640 }),
		with(file("suid", "x"), func(h *tar.Header) { h.Mode = 0o4755 }),
		with(file("sgid", "x"), func(h *tar.Header) { h.Mode, h.Gid = 0o2755, 44 }),
		with(dir("sticky"), func(h *tar.Header) { h.Mode = 0o1777 }),
		with(dir("shut"), func(h *tar.Header) { h.Mode, h.Uid = 0o500, 33 }),
		file("shut/in", "x"),
		with(file("cap", "x"), func(h *tar.Header) { h.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": string(cap)} }),
		with(file("attr", "x"), func(h *tar.Header) { h.PAXRecords = map[string]string{"SCHILY.xattr.user.colour": "red"} }),
		hardlink("again", "./plain"),
		symlink("link", "../../plain"),
		with(symlink("link-owned", "x"), func(h *tar.Header) { h.Uid, h.Gid = 33, 44 }),
		file(long, "long"),
		{tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3, Mode: 0o666}, ""},
		{tar.Header{Name: "fifo", Typeflag: tar.TypeFifo, Mode: 0o620, ModTime: day}, ""},
		file("holes", strings.Repeat("\x00", 3<<20)+"end"),
		file("empty", ""), file("zeros", strings.Repeat("\x00", 1<<20)),
		file("replaced", "first"), file("replaced", "second"),
		dir("was-dir"), file("was-dir/x", "x"), file("was-dir", "now a file"),
		file("was-file", "x"), dir("was-file"), file("was-file/x", "x"),
		file("implicit/dirs/file", "x"), symlink("usr-merge", "implicit"), file("usr-merge/by-link", "x"),
		file("odd name \n\x01\xff", "x"), file(".wh..wh.plnk/1.2", "aufs"), file("caf\u00e9", "x"),
	}
}

func TestFidelity(t *testing.T) {
	w := serve(t)
	ref := w.push(t, "all", imageOf(t, "", entriesLayer(t, everything()...)))
	check := func(t *testing.T, img image.Image, root bool) {
		fs := img.Dirs()[0]
		stat := func(name string) (st unix.Stat_t) {
			t.Helper()
			if err := unix.Lstat(filepath.Join(fs, name), &st); err != nil {
				t.Fatalf("%s: err = %v; want no error", name, err)
			}
			return st
		}
		for name, mode := range map[string]uint32{
			".": 0o751, "plain": 0o644, "owned": 0o640, "suid": 0o4755, "sgid": 0o2755, "sticky": 0o1777, "shut": 0o500,
			"fifo": 0o620, "implicit": 0o755, "implicit/dirs": 0o755,
		} {
			if got := stat(name).Mode & 0o7777; got != mode {
				t.Errorf("%s: mode %o, want %o", name, got, mode)
			}
		}
		for name, owner := range map[string][2]uint32{
			"owned": {33, 44}, "sgid": {0, 44}, "shut": {33, 0}, "link-owned": {33, 44}, "plain": {0, 0},
			"implicit": {0, 0},
		} {
			st := stat(name)
			if !root {
				owner = [2]uint32{stat("plain").Uid, stat("plain").Gid}
			}
			if st.Uid != owner[0] || st.Gid != owner[1] {
				t.Errorf("%s: owner %d:%d, want %v", name, st.Uid, st.Gid, owner)
			}
		}
		if root != img.Owners {
			t.Errorf("Owners is %v", img.Owners)
		}
		for _, name := range []string{"plain", "sticky", "link", "fifo", "shut", "suid"} {
			if got := stat(name).Mtim; time.Unix(got.Unix()).UTC() != day {
				t.Errorf("%s: time %v", name, time.Unix(got.Unix()).UTC())
			}
		}
		if a, b := stat("plain"), stat("again"); a.Ino != b.Ino || a.Nlink != 2 {
			t.Error("hard link")
		}
		if to, _ := os.Readlink(filepath.Join(fs, "link")); to != "../../plain" {
			t.Errorf("link to %q", to)
		}
		if holes := stat("holes"); holes.Size != 3<<20+3 || holes.Blocks*512 > 1<<20 {
			t.Errorf("holes: %d bytes in %d blocks", holes.Size, holes.Blocks)
		}
		if zeros := stat("zeros"); zeros.Size != 1<<20 {
			t.Errorf("zeros: %d", zeros.Size)
		}
		for name, text := range map[string]string{
			"replaced": "second", "was-dir": "now a file", "was-file/x": "x", "implicit/by-link": "x",
			"odd name \n\x01\xff": "x", "plain": "text",
		} {
			if got, err := os.ReadFile(filepath.Join(fs, name)); err != nil || string(got) != text {
				t.Errorf("%q: got = %q err = %v; want no error and string(got) == text", name, got, err)
			}
		}
		holes, err := os.ReadFile(filepath.Join(fs, "holes"))
		if err != nil || !bytes.Equal(holes, append(make([]byte, 3<<20), "end"...)) {
			t.Error("holes hold something else")
		}
		for _, name := range []string{"null", ".wh..wh.plnk", "plnk"} {
			if _, err := os.Lstat(filepath.Join(fs, name)); err == nil {
				t.Errorf("%s is there", name)
			}
		}
		v := make([]byte, 64)
		n, err := unix.Getxattr(filepath.Join(fs, "attr"), "user.colour", v)
		if err != nil || string(v[:n]) != "red" {
			t.Errorf("attribute %q %v", v[:max(n, 0)], err)
		}
		n, err = unix.Getxattr(filepath.Join(fs, "cap"), "security.capability", v)
		if got := hex.EncodeToString(v[:max(n, 0)]); root && (err != nil || got != someCapability) || !root && err == nil {
			t.Errorf("capability %s %v", got, err)
		}
	}
	if os.Geteuid() == 0 {
		t.Run("root", func(t *testing.T) {
			img, err := open(t).Pull(t.Context(), ref, image.PullOptions{})
			if err != nil {
				t.Fatal(err)
			}
			check(t, img, true)
		})
	}
	t.Run("user", func(t *testing.T) {
		dir := pullAsUser(t, ref)
		img, err := openAnyones(t, dir).Find(ref)
		if err != nil {
			t.Fatal(err)
		}
		check(t, img, false)
		// Its directories without permissions are in nobody's way.
		if out, err := asUser(t, "child-remove", dir, ref).CombinedOutput(); err != nil {
			t.Errorf("remove: %v %s", err, out)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "layers/*")); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	})
}

// somebody is an ordinary user.
const somebody = 54321

// asUser is this test's program as another process, of an ordinary user where we are root.
func asUser(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	if os.Geteuid() == 0 {
		cmd.Path = commonCopy(t, exe)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: somebody, Gid: somebody}}
	}
	cmd.Env = append(os.Environ(), "HOME=/nonexistent")
	cmd.Dir = "/"
	return cmd
}

// commonCopy puts a program where everybody may run it.
func commonCopy(t testing.TB, exe string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "common")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "program")
	if err := os.Link(exe, to); err == nil {
		return to
	}
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

// userDir is a directory of the ordinary user's.
func userDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "somebody")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { chmodAll(dir); _ = os.RemoveAll(dir) })
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, somebody, somebody); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pullAsUser has an ordinary user pull an image, and returns his store.
func pullAsUser(t testing.TB, ref string) string {
	t.Helper()
	dir := filepath.Join(userDir(t), "images")
	if out, err := asUser(t, "child-pull", dir, ref).CombinedOutput(); err != nil {
		t.Fatalf("%v: out = %s; want no error", err, out)
	}
	return dir
}

// openAnyones opens a store that belongs to another user, to look at.
func openAnyones(t testing.TB, dir string) *image.Store {
	t.Helper()
	s, err := image.OpenAnyones(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// overlaid are three layers in which names are hidden in each way that there is, and what is seen
// in the end.
func overlaid(t testing.TB) (layers [][]byte, want []string) {
	return [][]byte{
			archive(t, dir("d"), file("d/a", "1"), file("d/b", "1"), dir("o"), file("o/a", "1"), file("f", "1"), dir("r"), file("r/a", "1"), dir("gone"), file("gone/x", "1"),
				dir("back"), file("back/old", "1"), dir("imp"), file("imp/old", "1"), dir("opq2"), file("opq2/a", "1"), file("file-to-dir", "1")),
			archive(t, file("d/.wh.a", ""), dir("o"), file("o/b", "2"), file("o/.wh..wh..opq", ""), file(".wh.f", ""), file(".wh.gone", ""), file(".wh.back", ""), dir("back"), file("back/new", "2"),
				dir("r"), file("r/a", "2"), file("imp/.wh..wh..opq", ""), file("imp/new", "2"), dir("opq2"), file("opq2/b", "2"), file(".wh.opq2", ""), file(".wh.file-to-dir", ""), file("file-to-dir/x", "2")),
			archive(t, file("d/a", "3"), file("d/.wh.b", ""), dir("gone"), file("gone/y", "3")),
		}, []string{
			"back/new=2", "d/a=3", "file-to-dir/x=2", "gone/y=3", "imp/new=2", "o/b=2", "opq2/b=2", "r/a=2",
		}
}

// TestOverlay mounts the layers as a sandbox does, and looks at what is there.
func TestOverlay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("overlay: only root may make the user's name space here")
	}
	tars, want := overlaid(t)
	w := serve(t)
	img := imageOf(t, "", layerOf(t, tars[0]), layerOf(t, tars[1]), layerOf(t, tars[2]))
	ref := w.push(t, "overlaid", img)
	const script = `set -e
mount -t tmpfs tmpfs "$1"; mkdir "$1/u" "$1/w" "$1/m"
mount -t overlay overlay -o "userxattr,lowerdir=$2,upperdir=$1/u,workdir=$1/w" "$1/m"
cd "$1/m"; find . -type f | sort | while read -r f; do echo "${f#./}=$(cat "$f")"; done`
	see := func(t *testing.T, img image.Image, user bool) {
		t.Helper()
		dirs := img.Dirs()
		slices.Reverse(dirs) // overlay wants the top first
		at := userDir(t)
		cmd := exec.Command("/bin/sh", "-c", script, "sh", at, strings.Join(dirs, ":"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		if user {
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER, Credential: &syscall.Credential{NoSetGroups: true},
				UidMappings: []syscall.SysProcIDMap{{HostID: somebody, Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{HostID: somebody, Size: 1}},
			}
		} else {
			cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS // which makes mounts private
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: out = %s; want no error", err, out)
		}
		if got := strings.Fields(string(out)); !slices.Equal(got, want) {
			t.Errorf("seen:\n%q, want\n%q", got, want)
		}
		for _, line := range want {
			name, text, _ := strings.Cut(line, "=")
			if got := read(t, img, name); got != text {
				t.Errorf("%s reads %q", name, got)
			}
		}
		for _, name := range []string{"d/b", "o/a", "f", "gone/x", "back/old", "imp/old", "opq2/a", "none"} {
			if _, err := layer.ReadIn(img.Dirs(), name); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: err = %v; want error os.ErrNotExist", name, err)
			}
		}
	}
	t.Run("root", func(t *testing.T) {
		img, err := open(t).Pull(t.Context(), ref, image.PullOptions{})
		if err != nil {
			t.Fatal(err)
		}
		see(t, img, false)
	})
	t.Run("user", func(t *testing.T) {
		img, err := openAnyones(t, pullAsUser(t, ref)).Find(ref)
		if err != nil {
			t.Fatal(err)
		}
		see(t, img, true)
	})
}

// TestLeftOutDirectories has layers that do not say what the directories of their files are: they
// are as the layers below have them.
func TestLeftOutDirectories(t *testing.T) {
	with := func(e entry, mode int64, uid int) entry { e.Mode, e.Uid, e.Gid = mode, uid, uid; return e }
	base := entriesLayer(t, with(dir("."), 0o555, 0), with(dir("tmp"), 0o1777, 0), with(dir("home/me"), 0o750, 33), with(dir("home/me/.cache"), 0o700, 33), with(dir("root"), 0o700, 0), dir("usr"),
		with(dir("changed"), 0o711, 0), with(dir("emptied"), 0o700, 0), with(dir("replaced"), 0o700, 0))
	top := entriesLayer(t, file("tmp/x", "x"), file("home/me/.cache/x", "x"), file("root/x", "x"), file("usr/lib/x", "x"), file("changed/x", "x"), file("emptied/.wh..wh..opq", ""),
		file(".wh.replaced", ""), file("replaced/x", "x"))
	last := entriesLayer(t, file("tmp/y", "y"), with(dir("changed"), 0o733, 0))
	w, s := serve(t), open(t)
	ref := w.push(t, "left-out", imageOf(t, "", base, top, last))
	img, err := s.Pull(t.Context(), ref, image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	patch := img.Dirs()[len(img.Layers)-1]
	if len(img.Layers) != 4 || img.Layers[3].DiffID != "" {
		t.Fatalf(`img.Layers = %+v; want len(img.Layers) == 4 and img.Layers[3].DiffID == ""`, img.Layers)
	}
	for name, want := range map[string]string{
		".": "555 0", "tmp": "1777 0", "home": "755 0", "home/me": "750 33", "home/me/.cache": "700 33", "root": "700 0",
		"usr": "", "usr/lib": "", "changed": "", "emptied": "", "replaced": "", "tmp/x": "",
	} {
		var st unix.Stat_t
		got := ""
		if err := unix.Lstat(filepath.Join(patch, name), &st); err == nil {
			got = fmt.Sprintf("%o %d", st.Mode&0o7777, st.Uid)
		}
		if os.Geteuid() != 0 && want != "" {
			want, got = strings.Fields(want)[0], strings.Fields(got + " x")[0]
		}
		if got != want {
			t.Errorf("%s: the patch has %q, want %q", name, got, want)
		}
	}
	again, err := s.Pull(t.Context(), ref, image.PullOptions{})
	if err != nil || !slices.Equal(again.Dirs(), img.Dirs()) {
		t.Errorf("again = %+v err = %v; want no error and again.Dirs() == img.Dirs()", again, err)
	}
	if err := s.Remove(t.Context(), ref); err != nil {
		t.Error(err)
	}
	if l, _ := filepath.Glob(filepath.Join(s.Dir(), "images/*")); len(l) > 0 {
		t.Errorf("left: %q", l)
	}
}

func TestAnothersStore(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("owners: only root may give files away")
	}
	dir := pullAsUser(t, serve(t).push(t, "x", two(t)))
	if _, err := image.Open(dir, image.Options{}); err == nil || !strings.Contains(fmt.Sprint(err), "belongs to another user") {
		t.Errorf(`err = %v; want an error and fmt.Sprint(err) with "belongs to another user"`, err)
	}
}
