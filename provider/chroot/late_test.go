//go:build linux

package chroot_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/provider/chroot"
)

// TestLateProcesses starts a process when Clean or Destroy has just ended all: it too is ended, and
// counted, whatever it is known by.
func TestLateProcesses(t *testing.T) {
	kv := lab(t)
	for _, layer := range []string{"overlay", "copy"} {
		for name, c := range map[string]struct {
			step string // at which it starts
			root bool   // it has its root in the instance, and no mark
			// somebody outside looks into the instance, so that its root has to be detached
			open bool
			env  []string // it has no root in the instance
		}{
			"root": {step: "unmount", root: true}, "mark": {step: "unmount", env: []string{"A=b", chroot.Mark + "=mine/suite-1", "C=d"}},
			"detach": {step: "detach", root: true, open: true}, "before detach": {step: "unmount", root: true, open: true},
			"drop":  {step: "drop root", env: []string{chroot.Mark + "=mine/suite-1"}},
			"trash": {step: "trash", env: []string{chroot.Mark + "=mine/suite-1"}},
		} {
			t.Run(layer+" "+name, func(t *testing.T) {
				p := open(t, chroot.Options{Base: kv["rootfs"], Layer: layer, Dir: tempDir(t)})
				create(t, p, "suite-1").Close()
				all, err := p.List(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				root := all[0].ProviderID
				if c.open {
					f, err := os.Open(root)
					if err != nil {
						t.Fatal(err)
					}
					defer f.Close()
				}
				var late *exec.Cmd
				ended := make(chan error, 1)
				p.SetStep(func(step string) error {
					if step != c.step || late != nil {
						return nil
					}
					late = exec.Command("/bin/sleep", "3984")
					late.Env = append([]string{"X=y"}, c.env...)
					late.SysProcAttr = &syscall.SysProcAttr{}
					if c.root {
						late.Path, late.Args, late.SysProcAttr.Chroot, late.Dir = "/bin/busybox", []string{"sleep", "3984"}, root, "/"
					}
					if err := late.Start(); err != nil {
						return err
					}
					go func() { ended <- late.Wait() }() // killed below, at the latest
					return nil
				})
				if c.step == "trash" {
					err = p.Destroy(t.Context(), "suite-1")
				} else {
					var said string
					if said, err = p.Clean(t.Context(), "suite-1"); err == nil && !strings.HasPrefix(said, "1 processes ended") {
						t.Errorf("Clean says %q", said)
					}
				}
				if err != nil {
					t.Error(err)
				}
				if late == nil || late.Process == nil {
					t.Fatalf("there was no step %s", c.step)
				}
				select {
				case <-ended:
				case <-time.After(10 * time.Second):
					t.Error("what came late lives")
					_ = late.Process.Kill()
					<-ended
				}
				p.SetStep(nil)
			})
		}
	}
}
