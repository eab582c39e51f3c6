//go:build linux

package vm_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/vm"

	"github.com/hostler-project/hostler/image/registry"
)

// TestSnapshot makes an image of a machine, and a machine of that.
func TestSnapshot(t *testing.T) {
	o := warm(t)
	o.Images = filepath.Join(t.TempDir(), "images")
	p := open(t, o)
	before, err := p.ImageDigest(t.Context(), "", true)
	if err != nil || !strings.HasPrefix(before, "file:") {
		t.Fatalf("the disk: %q, %v", before, err)
	}
	const name = "localhost/built:1"
	if _, err := p.ImageDigest(t.Context(), name, false); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
	create(t, p, "suite-1")
	c := connect(t, p, "suite-1")
	// This guest's kernel never flushes. What qemu still holds in memory has to be in the image
	// too.
	sh(
		t, c,
		"set -e; echo write through >/sys/block/vda/queue/write_cache; echo made >/etc/made; mkdir -p /etc/ssh; echo "+
			"left >/tmp/left; echo mine >/etc/machine-id; echo mine >/etc/ssh/ssh_host_mine_key",
	)
	c.Close()
	if got, err := p.Snapshot(
		t.Context(), "suite-1", provider.ImageSpec{Name: name, Labels: map[string]string{"k": "v"}},
	); err != nil || got != name {
		t.Fatalf("the image: %q, %v", got, err)
	}
	if _, err := os.Lstat(filepath.Join(p.Home("suite-1"), "snapshot")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
	destroy(t, p, "suite-1")
	if now, err := p.ImageDigest(t.Context(), "", true); err != nil || now != before {
		t.Errorf("the disk is another one: %q, %q, %v", before, now, err)
	}

	store, err := image.Open(o.Images, image.Options{Registry: registry.Client{}})
	if err != nil {
		t.Fatal(err)
	}
	o.Warm, o.Image, o.Dir = false, name, filepath.Join(t.TempDir(), "computers")
	q := open(t, o)
	create(t, q, "suite-2")
	c = connect(t, q, "suite-2")
	sh(
		t, c,
		`set -e; test "$(cat /etc/made)" = made; test ! -e /tmp/left; test "$(cat /etc/machine-id)" != mine; test ! `+
			`-e /etc/ssh/ssh_host_mine_key; echo own >/etc/made`,
	)
	c.Close()
	if err := store.Remove(t.Context(), name); !errors.Is(err, compute.ErrConflict) {
		t.Errorf("an image that a machine stands on is removed: %v", err)
	}
	destroy(t, q, "suite-2")
	if err := store.Remove(t.Context(), name); err != nil {
		t.Errorf("an image that no machine stands on: %v", err)
	}
}

// TestFlatten makes one disk of a stopped machine's layers, which reads as they do.
func TestFlatten(t *testing.T) {
	o := lab(t)
	o.Dir, o.Network = t.TempDir(), "none"
	p := open(t, o)
	create(t, p, "suite-1")
	c := connect(t, p, "suite-1")
	sh(t, c, "head -c 3000000 /dev/urandom >/etc/made; sync")
	c.Close()
	if err := p.Stop(t.Context(), "suite-1", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	to, err := p.Flatten(t.Context(), "suite-1")
	if err != nil {
		t.Fatal(err)
	}
	from := filepath.Join(p.Home("suite-1"), "disk.qcow2")
	for _, args := range [][]string{{"check", to}, {"compare", from, to}} {
		if out, err := exec.Command("qemu-img", args...).CombinedOutput(); errors.Is(err, exec.ErrNotFound) {
			t.Skip("vm: no qemu-img to compare with")
		} else if err != nil {
			t.Errorf("qemu-img %q: %v: %s", args, err, out)
		}
	}
	fi, err := os.Stat(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("it has %d KiB", fi.Size()>>10)
}

// TestStrangeImages: what is no image of a machine, and what would lead to files of this one, is
// refused.
func TestStrangeImages(t *testing.T) {
	for _, tool := range []string{"qemu-img", "qemu-system-x86_64"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("vm: no ", tool)
		}
	}
	images := filepath.Join(t.TempDir(), "images")
	store, err := image.Open(images, image.Options{Registry: registry.Client{}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		make []string // of qemu-img; nil: no disk
		more string   // a file beside it
		want string
	}{
		"none": {nil, "", "no disk in /disk"}, "two": {[]string{"create", "-f", "qcow2", "DISK", "1M"}, "disk/other", "not just one file"},
		"backed": {[]string{"create", "-f", "qcow2", "-u", "-b", "/etc/shadow", "-F", "raw", "DISK", "1M"}, "", "lies over another file"},
		"external": {
			[]string{"create", "-f", "qcow2", "-o", "data_file=/DIR/data,data_file_raw=on", "DISK", "1M"}, "",
			"its content in another file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tree, aside := t.TempDir(), t.TempDir()
			if err := os.Mkdir(filepath.Join(tree, "disk"), 0o755); err != nil {
				t.Fatal(err)
			}
			args := append([]string{}, c.make...)
			for i := range args {
				args[i] = strings.ReplaceAll(strings.ReplaceAll(args[i], "/DIR", aside), "DISK", filepath.Join(tree, "disk", "disk.qcow2"))
			}
			if len(args) > 0 {
				if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
					t.Fatalf("%v: out = %s; want no error", err, out)
				}
			}
			if c.more != "" {
				if err := os.WriteFile(filepath.Join(tree, c.more), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := store.Commit(t.Context(), image.Change{Dir: tree}, name+":1"); err != nil {
				t.Fatal(err)
			}
			p := open(
				t,
				vm.Options{
					Source: "suite", Installation: "mine", Image: name + ":1", Images: images,
					Dir: filepath.Join(t.TempDir(), "computers"),
				},
			)
			t.Cleanup(func() { destroy(t, p, "suite-1") })
			_, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"})
			if !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v; want error compute.ErrInvalid and err.Error() with c.want", err)
			}
		})
	}
}
