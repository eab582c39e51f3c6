package vm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/provider/vm/initrd"
	"github.com/hostler-project/hostler/provider/vm/qcow"
	"github.com/hostler-project/hostler/provider/vm/qemu"
)

// digest returns a name made of all parts. Strings up to a "\x00" are paths of files: their sizes
// and times count too.
func digest(parts ...any) (string, error) {
	h := sha256.New()
	files := true
	for _, x := range parts {
		path, ok := x.(string)
		if ok && path == "\x00" {
			files = false
		}
		if ok && files && path != "" {
			var st unix.Stat_t
			if err := unix.Stat(path, &st); err != nil {
				return "", &os.PathError{Op: "stat", Path: path, Err: err}
			}
			x = fmt.Sprintf("%s %d %d %d %d.%d", path, st.Dev, st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec)
		}
		fmt.Fprintf(h, "%v\x00", x)
	}
	return hex.EncodeToString(h.Sum(nil)[:20]), nil
}

// program finds qemu, and asks it once what it is.
func (p *acceleration) program(ctx context.Context) (q qemu.Program, err error) {
	path, err := p.p.qemu()
	if err != nil {
		return q, err
	}
	key, err := digest(path)
	if err != nil {
		return q, err
	}
	err = p.fact("jailed-qemu-"+key, &q, func() error {
		q, err = qemu.Ask(ctx, path)
		return err
	})
	return q, err
}

// fact reads into out what is known under a name, or calls find to find it out, and keeps it.
func (p *acceleration) fact(name string, out any, find func() error) error {
	path := filepath.Join(p.p.o.Dir, "facts", name)
	if b, err := os.ReadFile(path); err == nil && json.Unmarshal(b, out) == nil {
		return nil
	}
	if err := find(); err != nil {
		return err
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return initrd.Atomically(path, func(name string) error { return os.WriteFile(name, b, 0o600) })
}

// probePatience is how long a kernel under KVM may take to its first words. It needs a tenth of a
// second where KVM works.
const probePatience = 8 * time.Second

// kvm is what the probe found.
type kvm struct {
	Works bool   `json:"works"`
	Why   string `json:"why"`
}

// accelerator decides between kvm and tcg for a machine.
func (p *acceleration) accelerator(ctx context.Context, q qemu.Program, own *instanceRecord) (string, error) {
	switch p.p.o.Accel {
	case "kvm":
		if err := openKVM(); err != nil {
			return "", &compute.Error{
				Op: "vm.Create", Kind: compute.ErrUnavailable, Err: fmt.Errorf("accel = kvm: %w", err),
				Hint: "set accel = tcg, which is slow",
			}
		}
		return "kvm", nil
	case "tcg":
		return "tcg", nil
	}
	found, err := p.probeKVM(ctx, q, own.Kernel, own.Initrd, own.Image)
	if err != nil || !found.Works {
		return "tcg", err
	}
	return "kvm", nil
}

func openKVM() error {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// probeKVM boots the kernel, or the disk, under KVM until it prints something. The device node
// alone proves nothing: on a virtual host a guest may hang there for ever. The result holds until
// the next boot of this machine, for this qemu and this kernel.
func (p *acceleration) probeKVM(ctx context.Context, q qemu.Program, kernel, initrd, image string) (found kvm, err error) {
	if err := openKVM(); err != nil {
		return kvm{Why: err.Error()}, nil
	}
	for _, file := range []*string{&kernel, &initrd} {
		if *file != "" {
			if *file, err = p.p.images.readable(*file); err != nil {
				return found, err
			}
		}
	}
	boot, err := proc.BootID()
	if err != nil {
		return found, err
	}
	key, err := digest(kernel, initrd, image, "\x00", q.Version, boot)
	if err != nil {
		return found, err
	}
	err = p.fact("kvm-"+key, &found, func() error {
		found, err = p.tryKVM(ctx, q, kernel, initrd, image)
		return err
	})
	return found, err
}

// tryKVM makes one such boot, in a jail as an instance's: a disk may have come from anywhere.
func (p *acceleration) tryKVM(ctx context.Context, q qemu.Program, kernel, initrd, image string) (kvm, error) {
	dir, err := os.MkdirTemp("", "hostler-kvm-*")
	if err != nil {
		return kvm{}, err
	}
	defer os.RemoveAll(dir)
	h := &qemu.Handed{Dir: dir}
	defer h.Close()
	args := []string{
		"-machine", "q35,accel=kvm", "-cpu", "host,-arch-capabilities", "-m", "256M", "-nodefaults", "-no-user-config",
		"-display", "none", "-no-reboot", "-serial", "stdio",
	}
	if kernel != "" {
		args = append(args, "-kernel", h.Show(kernel, false), "-append", "console=ttyS0 earlyprintk=ttyS0 panic=-1")
		if initrd != "" {
			args = append(args, "-initrd", h.Show(initrd, false))
		}
	} else {
		below, err := qcow.Inspect(image)
		if err == nil {
			err = alone(image)
		}
		if err != nil {
			return kvm{}, imageError("image", image, err)
		}
		h.Disk("disk", image, os.O_RDONLY, map[string]any{"driver": below.Format, "read-only": true}, nil)
		args = append(append(args, h.Args...), "-device", "virtio-blk-pci,drive=disk")
	}
	if h.Err != nil {
		return kvm{}, h.Err
	}
	return p.hear(ctx, &cell{q: q, mark: "kvm/" + filepath.Base(dir), handed: h, scratch: dir, args: args, cores: 1, memory: 256 << 20})
}

// hear runs a qemu until it prints the first words of a kernel, or for a while.
func (p *acceleration) hear(ctx context.Context, c *cell) (kvm, error) {
	short, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	said, err := memory("said", nil)
	if err != nil {
		return kvm{}, err
	}
	defer said.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return kvm{}, err
	}
	defer r.Close()
	c.out, c.log = w, said
	started, err := p.p.launcher.lockUp(ctx, c, p.p.bare.Load())
	_ = w.Close()
	if err != nil {
		return kvm{Why: fmt.Sprintf("qemu: %v", err)}, ctx.Err()
	}
	defer func() {
		_ = p.p.ungroup(context.WithoutCancel(ctx), c.mark)
		p.p.leaveGroups(context.WithoutCancel(ctx))
	}()
	defer context.AfterFunc(short, func() { _ = started.Kill() })()
	heard := &listener{word: []byte("Linux version"), heard: cancel}
	_, _ = io.Copy(heard, r)
	state, err := started.Wait()
	switch {
	case heard.found:
		return kvm{Works: true, Why: "a kernel was booted"}, nil
	case ctx.Err() != nil:
		return kvm{}, ctx.Err()
	case short.Err() != nil:
		return kvm{Why: "the kernel said nothing within " + strconv.Itoa(int(probePatience/time.Second)) + " s"}, nil
	case err != nil:
		return kvm{}, err
	}
	words, _ := io.ReadAll(io.NewSectionReader(said, 0, 1<<20))
	return kvm{Why: fmt.Sprintf("qemu: %v: %s", state, lastLines(words))}, nil
}

// listener waits for a word among what is written to it.
type listener struct {
	word  []byte
	heard func()
	tail  []byte
	found bool
}

func (l *listener) Write(b []byte) (int, error) {
	l.tail = append(l.tail, b...)
	if !l.found && bytes.Contains(l.tail, l.word) {
		l.found = true
		l.heard()
	}
	l.tail = l.tail[max(0, len(l.tail)-len(l.word)):]
	return len(b), nil
}
