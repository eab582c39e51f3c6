//go:build linux

package sandbox_test

import (
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox"
)

// floorLife makes an environment by mounts of its own thread, runs true in it, and lets it go.
func floorLife(scratch string) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, and its mounts with it, ends here
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
				return err
			}
			for _, m := range []struct {
				src, at, kind, opt string
				flags              uintptr
			}{
				{"", "/", "", "", unix.MS_REC | unix.MS_PRIVATE},
				{"tmpfs", scratch, "tmpfs", "size=1g", unix.MS_NODEV},
			} {
				if err := unix.Mount(m.src, m.at, m.kind, m.flags, m.opt); err != nil {
					return fmt.Errorf("%s: %w", m.at, err)
				}
			}
			for _, d := range []string{"u", "w", "r"} {
				if err := unix.Mkdir(scratch+"/"+d, 0o755); err != nil {
					return err
				}
			}
			root := scratch + "/r"
			if err := unix.Mount("overlay", root, "overlay", unix.MS_NODEV, "lowerdir=/,upperdir="+scratch+"/u,workdir="+scratch+"/w"); err != nil {
				return err
			}
			if err := unix.Mount("tmpfs", root+"/dev", "tmpfs", unix.MS_NOSUID, "size=64m"); err != nil {
				return err
			}
			if err := unix.Mount("proc", root+"/proc", "proc", unix.MS_NOSUID, ""); err != nil {
				return err
			}
			pid, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{
				Chroot: root, Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP | unix.CLONE_NEWNS,
			}})
			if err != nil {
				return err
			}
			var ws unix.WaitStatus
			if _, err := unix.Wait4(pid, &ws, 0, nil); err != nil {
				return err
			}
			return unix.Unmount(root, unix.MNT_DETACH)
		}()
	}()
	return <-done
}

func BenchmarkFloor(b *testing.B) {
	scratch := b.TempDir()
	for b.Loop() {
		if err := floorLife(scratch); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCold(b *testing.B) {
	p := open(b, sandbox.Options{Dir: b.TempDir()})
	n := 0
	for b.Loop() {
		n++
		id := compute.ID("sandbox-" + strconv.Itoa(n))
		if _, err := p.Create(b.Context(), compute.Spec{ID: id}); err != nil {
			b.Fatal(err)
		}
		c, err := p.Connect(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Run(b.Context(), &compute.Command{Args: []string{"true"}}); err != nil {
			b.Fatal(err)
		}
		c.Close()
		b.StopTimer()
		if err := p.Destroy(b.Context(), id); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkExec(b *testing.B) {
	for b.Loop() {
		if err := exec.Command("/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHeld(b *testing.B) {
	p := open(b, sandbox.Options{Dir: b.TempDir()})
	if _, err := p.Create(b.Context(), compute.Spec{ID: "held"}); err != nil {
		b.Fatal(err)
	}
	defer p.Destroy(b.Context(), "held")
	c, err := p.Connect(b.Context(), "held")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := c.Run(b.Context(), &compute.Command{Args: []string{"true"}}); err != nil {
			b.Fatal(err)
		}
	}
}
