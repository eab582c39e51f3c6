//go:build linux

package chroot_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/chroot"
	"github.com/hostler-project/hostler/provider/guard"

	"github.com/hostler-project/hostler/image/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab returns what the lab says of its tiny root file system.
func lab(t *testing.T) map[string]string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("chroot: only root may")
	}
	return computetest.Lab{Set: "chroot", Net: 61}.Run(t, "base-rootfs", "tiny")
}

func open(t *testing.T, o chroot.Options) *chroot.Provider {
	t.Helper()
	if o.Source == "" {
		o.Source, o.Installation = "suite", "mine"
	}
	o.Registry = registry.Client{}
	p, err := chroot.Open(t.Context(), slog.New(slog.DiscardHandler), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// left names what there is of instances in a directory: mounts, processes, files.
func left(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); strings.HasPrefix(f[4], dir) {
			out = append(out, "mount "+f[4])
		}
	}
	roots, _ := filepath.Glob("/proc/[0-9]*/root")
	for _, r := range roots {
		if at, err := os.Readlink(r); err == nil && strings.HasPrefix(at, dir) {
			out = append(out, "process "+r+" "+at)
		}
	}
	for _, glob := range []string{"instances/*", "trash*", "trash/*/*", "new-*"} {
		files, _ := filepath.Glob(filepath.Join(dir, glob))
		out = append(out, files...)
	}
	return out
}

// tempDir is a directory in memory, where that can be had: to unmount an overlay is to wait until a
// disk has written everything.
func tempDir(t *testing.T) string {
	t.Helper()
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() {
		return tempDirIn(t, "/dev/shm")
	}
	return tempDirIn(t, "")
}

// tempDirIn is t.TempDir, but a directory that is deleted only where nothing is mounted any more.
func tempDirIn(t *testing.T, place string) string {
	t.Helper()
	dir, err := os.MkdirTemp(place, "hostler-chroot-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, x := range left(t, dir) {
			if strings.HasPrefix(x, "mount ") {
				t.Errorf("%s is left: %s is not deleted", x, dir)
				return
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func digest(t *testing.T, root string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "tar", "-C", root, "--sort=name", "-c", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d bytes", len(out))
}

func TestProvider(t *testing.T) {
	kv := lab(t)
	before := digest(t, kv["rootfs"])
	for name, base := range map[string]string{"directory": kv["rootfs"], "tarball": kv["tarball"]} {
		for _, layer := range []string{"overlay", "copy"} {
			for _, guarded := range []bool{false, true} {
				if guarded && name == "tarball" {
					continue
				}
				t.Run(fmt.Sprintf("%s %s guarded=%v", name, layer, guarded), func(t *testing.T) {
					place := tempDir(t)
					if !guarded { // the bare provider on a real disk
						place = tempDirIn(t, "")
					}
					dir := filepath.Join(place, "a dir, with: odd \\ name")
					in := func(installation string) func(*testing.T) compute.Provider {
						return func(t *testing.T) compute.Provider {
							p := open(t, chroot.Options{Base: base, Layer: layer, Source: "suite", Installation: installation, Dir: dir})
							if guarded {
								return guard.New(
									p,
									guard.Options{Creates: 3, Timeout: map[string]time.Duration{"": time.Minute}, Retries: 1},
								)
							}
							return p
						}
					}
					computetest.Provider(t, computetest.ProviderOptions{
						New: in("mine"), Foreign: in("theirs"), Installation: "mine", Leak: func() []string { return left(t, dir) },
					})
				})
			}
		}
	}
	if after := digest(t, kv["rootfs"]); after != before {
		t.Errorf("the base was written to: %s before, %s after", before, after)
	}
}

func sh(t *testing.T, conn compute.Conn, script string) string {
	t.Helper()
	var out bytes.Buffer
	exit, err := conn.Run(t.Context(), &compute.Command{Args: []string{"sh", "-c", script}, Stdout: &out, Stderr: &out})
	if err != nil || exit.Status() != 0 {
		t.Errorf("%s: exit = %v, err = %v: out = %s; want no error and exit.Status() == 0", script, exit, err, out.String())
	}
	return strings.TrimSpace(out.String())
}

func create(t *testing.T, p *chroot.Provider, id compute.ID) compute.Conn {
	t.Helper()
	if _, err := p.Create(t.Context(), compute.Spec{ID: id}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { destroy(t, p, id) })
	conn, err := p.Connect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func destroy(t *testing.T, p *chroot.Provider, id compute.ID) {
	t.Helper()
	for range 3 {
		if err := p.Destroy(context.Background(), id); errors.Is(err, compute.ErrNotFound) {
			return
		} else if err != nil {
			t.Errorf("Destroy(%s): %v", id, err)
		}
	}
	t.Errorf("Destroy(%s) does not come to an end", id)
}

// TestInside looks at what an instance finds.
func TestInside(t *testing.T) {
	kv := lab(t)
	for _, layer := range []string{"overlay", "copy"} {
		t.Run(layer, func(t *testing.T) {
			p := open(t, chroot.Options{Base: kv["rootfs"], Layer: layer, Resolv: true, Dir: tempDir(t)})
			conn := create(t, p, "suite-1")
			sh(
				t, conn,
				`echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 1 /dev/urandom >/dev/null; test -c /dev/tty;`+
					` test -c /dev/full; test -d /dev/pts; test -w /dev/shm`,
			)
			sh(t, conn, `test -r /proc/self/stat; test "$(id -u)" = 0; ! test -e /dev/sda; ! test -e /dev/vda`)
			if mark := sh(t, conn, `echo $`+chroot.Mark); mark != "mine/suite-1" {
				t.Errorf("the mark is %q", mark)
			}
			if host, err := os.ReadFile("/etc/resolv.conf"); err == nil &&
				sh(t, conn, "cat /etc/resolv.conf") != strings.TrimSpace(string(host)) {
				t.Error("resolv.conf is not this machine's")
			}
			// Two instances do not see each other's files.
			other := create(t, p, "suite-2")
			sh(t, conn, "echo one > /root/file; echo hole > /etc/motd; rm /bin/cat")
			sh(t, other, "test ! -e /root/file; test -e /bin/cat")
			if _, err := os.Stat(filepath.Join(kv["rootfs"], "bin/cat")); err != nil {
				t.Errorf("the base lost what an instance removed: %v", err)
			}
		})
	}
}

// TestPlantedLinks lets the user of an instance put links where hostler is going to mount and
// write.
func TestPlantedLinks(t *testing.T) {
	kv := lab(t)
	for _, layer := range []string{"overlay", "copy"} {
		t.Run(layer, func(t *testing.T) {
			outside := tempDir(t)
			dir := tempDir(t)
			p := open(t, chroot.Options{Base: kv["rootfs"], Layer: layer, Resolv: true, Dir: dir})
			in, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { destroy(t, p, "suite-1") })
			// As after a reboot: the mounts are gone, and what was planted shows.
			for _, m := range []string{"dev/pts", "dev", "proc"} {
				if err := exec.CommandContext(t.Context(), "umount", filepath.Join(in.ProviderID, m)).Run(); err != nil {
					t.Fatal(err)
				}
				if m == "dev/pts" {
					continue
				}
				if err := os.RemoveAll(filepath.Join(in.ProviderID, m)); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(outside, filepath.Join(in.ProviderID, m)); err != nil {
					t.Fatal(err)
				}
			}
			conn, err := p.Connect(t.Context(), "suite-1")
			if err != nil {
				t.Fatal(err)
			}
			sh(t, conn, "test -c /dev/null; test -r /proc/self/stat")
			conn.Close()
			if entries, _ := os.ReadDir(outside); len(entries) > 0 || len(left(t, outside)) > 0 {
				t.Errorf("a planted link led outside: %v %v", entries, left(t, outside))
			}
		})
	}
}

// TestMountedAgain takes the mounts away, as a reboot does: Connect brings them back with the
// layer's content.
func TestMountedAgain(t *testing.T) {
	kv := lab(t)
	p := open(t, chroot.Options{Base: kv["tarball"], Layer: "overlay", Dir: tempDir(t)})
	conn := create(t, p, "suite-1")
	sh(t, conn, "echo kept > /root/file")
	all, err := p.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	root := all[0].ProviderID
	for _, m := range []string{"dev/pts", "dev", "proc", "."} {
		if err := exec.CommandContext(t.Context(), "umount", filepath.Join(root, m)).Run(); err != nil {
			t.Fatalf("m = %v, err = %v; want no error", m, err)
		}
	}
	again, err := p.Connect(t.Context(), "suite-1")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := sh(t, again, "cat /root/file"); got != "kept" {
		t.Errorf("the layer has %q after it was mounted again", got)
	}
}

// TestGuestsMounts lets a user mount inside the instance, the host's directory among them: it goes,
// and what is behind it stays.
func TestGuestsMounts(t *testing.T) {
	kv := lab(t)
	for _, layer := range []string{"overlay", "copy"} {
		t.Run(layer, func(t *testing.T) {
			precious := tempDir(t)
			if err := os.WriteFile(filepath.Join(precious, "file"), []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			dir := tempDir(t)
			p := open(t, chroot.Options{Base: kv["rootfs"], Layer: layer, Dir: dir})
			for _, end := range []string{"clean", "destroy"} {
				conn := create(t, p, "suite-1")
				sh(t, conn, "mkdir -p /mnt/a '/mnt/b c'; mount -t tmpfs none '/mnt/b c'; sleep 3986 >/dev/null 2>&1 & ")
				all, _ := p.List(t.Context())
				target := filepath.Join(all[0].ProviderID, "mnt/a")
				if out, err := exec.CommandContext(t.Context(), "mount", "--bind", precious, target).CombinedOutput(); err != nil {
					t.Fatalf("mount --bind: %v: %s", err, out)
				}
				var err error
				if end == "clean" {
					_, err = p.Clean(t.Context(), "suite-1")
				} else {
					err = p.Destroy(t.Context(), "suite-1")
				}
				if err != nil {
					t.Fatalf("%s: err = %v; want no error", end, err)
				}
				for _, x := range left(t, dir) {
					if strings.Contains(x, "/mnt/") || strings.HasPrefix(x, "process") || end == "destroy" {
						t.Errorf("after %s there is %s", end, x)
					}
				}
				if b, err := os.ReadFile(filepath.Join(precious, "file")); string(b) != "precious" {
					t.Fatalf("%s deleted through a mount: %v", end, err)
				}
			}
		})
	}
}

// TestForeignDirectories finds directories where instances belong that are not ours, and leaves
// them alone.
func TestForeignDirectories(t *testing.T) {
	kv := lab(t)
	dir := tempDir(t)
	p := open(t, chroot.Options{Base: kv["rootfs"], Dir: dir})
	for name, marker := range map[string]string{"suite-1": "", "suite-2": "{",
		"suite-3": `{"installation":"mine","source":"suite","id":"suite-9"}`,
		"suite-4": `{"installation":"theirs","source":"suite","id":"suite-4"}`,
		"suite-5": `{"installation":"mine","source":"other","id":"suite-5"}`} {
		home := filepath.Join(dir, "instances", name)
		if err := os.MkdirAll(filepath.Join(home, "root"), 0o755); err != nil {
			t.Fatal(err)
		}
		if marker != "" {
			if err := os.WriteFile(filepath.Join(home, "owner"), []byte(marker), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		id := compute.ID(name)
		if err := p.Destroy(t.Context(), id); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("Destroy(%s): %v", name, err)
		}
		if _, err := p.Clean(t.Context(), id); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("Clean(%s): %v", name, err)
		}
		if _, err := p.Connect(t.Context(), id); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("Connect(%s): %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(home, "root")); err != nil {
			t.Errorf("%s was touched: %v", name, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if _, err := p.Create(ctx, compute.Spec{ID: id}); !errors.Is(err, compute.ErrConflict) {
			t.Errorf("Create(%s): %v, want ErrConflict", name, err)
		}
		cancel()
	}
	if all, err := p.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("List: %v, %v", all, err)
	}
}

func TestOptions(t *testing.T) {
	lab(t)
	for name, c := range map[string]struct {
		o    chroot.Options
		want error
	}{
		"no base": {chroot.Options{Dir: "/x"}, compute.ErrInvalid}, "relative": {chroot.Options{Base: "x", Dir: "/x"}, compute.ErrInvalid},
		"layer":  {chroot.Options{Base: "/", Dir: "/x", Layer: "cake"}, compute.ErrInvalid},
		"no dir": {chroot.Options{Base: "/"}, compute.ErrInvalid},
	} {
		if _, err := chroot.Open(t.Context(), slog.New(slog.DiscardHandler), c.o); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// A base that is gone, or is no base: it is said, and instances of before can be unmade.
	dir := tempDir(t)
	bad := filepath.Join(dir, "bad.tar.gz")
	if err := os.WriteFile(bad, []byte("no tarball at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, base := range []string{"/nowhere/base", bad, "/dev/null"} {
		p := open(t, chroot.Options{Base: base, Dir: filepath.Join(dir, "state")})
		_, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
		if !errors.Is(err, compute.ErrInvalid) || compute.Hint(err) == "" {
			t.Errorf("base %s: %v, want ErrInvalid with a hint", base, err)
		}
		if all, err := p.List(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("base %s: List: %v, %v, want the half-made one", base, all, err)
		}
		destroy(t, p, "suite-1")
		if l := left(t, filepath.Join(dir, "state")); len(l) > 0 {
			t.Errorf("base %s: left: %v", base, l)
		}
	}
}

// TestTarballs unpacks each compression that this machine can, once for all instances, and forgets
// a base that nothing stands on.
func TestTarballs(t *testing.T) {
	kv := lab(t)
	plain, err := os.ReadFile(kv["tarball"])
	if err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	state := filepath.Join(dir, "state")
	for _, ext := range []string{"", ".gz", ".xz", ".zst", ".bz2"} {
		var b bytes.Buffer
		switch program := map[string]string{".xz": "xz", ".zst": "zstd", ".bz2": "bzip2"}[ext]; {
		case ext == "":
			b.Write(plain)
		case ext == ".gz":
			z := gzip.NewWriter(&b)
			z.Write(plain)
			z.Close()
		default:
			if _, err := exec.LookPath(program); err != nil {
				t.Logf("%s is not installed", program)
				continue
			}
			cmd := exec.CommandContext(t.Context(), program, "-c", "-1")
			cmd.Stdin, cmd.Stdout = bytes.NewReader(plain), &b
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
		}
		tarball := filepath.Join(dir, "base.tar"+ext)
		if err := os.WriteFile(tarball, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		p := open(t, chroot.Options{Base: tarball, Dir: state})
		sh(t, create(t, p, "suite-1"), "test -x /bin/busybox")
		sh(t, create(t, p, "suite-2"), "test -x /bin/busybox")
		destroy(t, p, "suite-1")
		destroy(t, p, "suite-2")
		if bases, _ := os.ReadDir(filepath.Join(state, "bases")); len(bases) != 1 {
			t.Errorf("%s: %d bases, want that of now alone", ext, len(bases))
		}
		// A tarball that breaks off is noticed, and not kept.
		cut := filepath.Join(dir, "cut.tar"+ext)
		if err := os.WriteFile(cut, b.Bytes()[:b.Len()/2], 0o600); err != nil {
			t.Fatal(err)
		}
		p = open(t, chroot.Options{Base: cut, Dir: state})
		if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-3"}); !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("half of %s: %v, want ErrInvalid", tarball, err)
		}
		destroy(t, p, "suite-3")
		if l := left(t, state); len(l) > 0 {
			t.Errorf("%s: left: %v", ext, l)
		}
	}
}

// TestTogether lets four openings, as processes would, make, clean and unmake the same instances at
// once. Whoever comes late is told so in a word that he understands, and in the end nothing is
// left.
func TestTogether(t *testing.T) {
	kv := lab(t)
	dir := tempDir(t)
	var wg sync.WaitGroup
	for worker := range 4 {
		p := open(t, chroot.Options{Base: kv["tarball"], Dir: dir})
		wg.Go(func() {
			for round := range 30 {
				id := compute.ID(fmt.Sprintf("suite-%d", (round+worker)%2))
				var err error
				switch (round*7 + worker*3) % 4 {
				case 0, 1:
					_, err = p.Create(t.Context(), compute.Spec{ID: id})
				case 2:
					_, err = p.Clean(t.Context(), id)
				case 3:
					err = p.Destroy(t.Context(), id)
				}
				if err != nil && !errors.Is(err, compute.ErrNotFound) {
					t.Errorf("worker %d, round %d: %v", worker, round, err)
				}
				if _, err := p.List(t.Context()); err != nil {
					t.Errorf("List: %v", err)
				}
			}
		})
	}
	wg.Wait()
	p := open(t, chroot.Options{Base: kv["tarball"], Dir: dir})
	destroy(t, p, "suite-0")
	destroy(t, p, "suite-1")
	if l := left(t, dir); len(l) > 0 {
		t.Errorf("left: %v", l)
	}
}

// TestConn runs the suite of ways in on an instance.
func TestConn(t *testing.T) {
	kv := lab(t)
	p := open(t, chroot.Options{Base: kv["rootfs"], Dir: tempDir(t)})
	create(t, p, "suite-1")
	computetest.Conn(t, computetest.ConnOptions{
		New: func(t *testing.T) compute.Conn {
			conn, err := p.Connect(t.Context(), "suite-1")
			if err != nil {
				t.Fatal(err)
			}
			return conn
		},
		Dir: "/tmp", Shell: true, Marked: true,
	})
}

// TestNoOverlayHere keeps instances on a file system that cannot carry the upper side of an
// overlay: another overlay.
func TestNoOverlayHere(t *testing.T) {
	kv := lab(t)
	top := tempDir(t)
	for _, d := range []string{"lower", "upper", "work", "m"} {
		if err := os.Mkdir(filepath.Join(top, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m := filepath.Join(top, "m")
	options := fmt.Sprintf("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", top, top, top)
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "overlay", "-o", options, "none", m).CombinedOutput(); err != nil {
		t.Skipf("chroot: no overlay at all: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", m).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	p := open(t, chroot.Options{Base: kv["rootfs"], Dir: filepath.Join(m, "auto")})
	in, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
	if err != nil {
		t.Fatal(err)
	}
	if in.Facts["layer"] != "copy" {
		t.Skipf("chroot: this kernel has overlays over overlays: %v", in.Facts)
	}
	conn := create(t, p, "suite-1")
	sh(t, conn, "echo x > /root/file; test -c /dev/null")
	if _, err := p.Clean(t.Context(), "suite-1"); err != nil {
		t.Fatal(err)
	}
	destroy(t, p, "suite-1")
	q := open(t, chroot.Options{Base: kv["rootfs"], Layer: "overlay", Dir: filepath.Join(m, "overlay")})
	if _, err := q.Create(t.Context(), compute.Spec{ID: "suite-1"}); !errors.Is(err, compute.ErrFailed) || compute.Hint(err) == "" {
		t.Errorf("layer = overlay where there is none: %v, want ErrFailed with a hint", err)
	}
	destroy(t, q, "suite-1")
	if l := append(left(t, filepath.Join(m, "auto")), left(t, filepath.Join(m, "overlay"))...); len(l) > 0 {
		t.Errorf("left: %v", l)
	}
}
