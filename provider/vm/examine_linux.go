package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/compute"

	"github.com/hostler-project/hostler/provider/vm/qemu"
)

// examine reports which virtual machines work here. Of o it uses the qemu, kernel, initrd and image
// that are set.
func examine(ctx context.Context, o options) []compute.Finding {
	p := &Provider{o: o, log: slog.New(slog.DiscardHandler)}
	p.assemble()
	path, err := p.qemu()
	if err != nil {
		return []compute.Finding{{Result: "skip", What: "vm: qemu", Detail: err.Error(), Hint: compute.Hint(err)}}
	}
	q, err := qemu.Ask(ctx, path)
	if err != nil {
		return []compute.Finding{{Result: "fail", What: "vm: qemu", Detail: err.Error(), Hint: "install qemu anew"}}
	}
	out := []compute.Finding{{Result: "ok", What: "vm: qemu", Detail: q.Path + " " + q.Version}}
	if !q.Sandbox {
		out = append(
			out,
			compute.Finding{
				Result: "warn", What: "vm: qemu's own sandbox", Detail: "this qemu cannot give up rights by seccomp",
				Hint: "install a qemu that is built with seccomp",
			},
		)
	}
	if o.Agent != nil {
		out = append(out, p.examineJail(ctx, q))
	}
	slow := "machines are emulated, which is about ten times slower"
	fast := compute.Finding{Result: "ok", What: "vm: KVM"}
	switch err := openKVM(); {
	case errors.Is(err, os.ErrNotExist):
		fast.Result, fast.Detail, fast.Hint = "warn", "there is no /dev/kvm: "+slow, "switch virtualization on in the firmware, or in the machine around this one"
	case err != nil:
		fast.Result, fast.Detail, fast.Hint = "warn", err.Error()+": "+slow, "become a member of the group kvm"
	case o.Kernel == "" && o.Image == "":
		fast.Result, fast.Detail = "warn", "/dev/kvm is there; whether it boots a kernel is tried when a source of type vm has one"
	case o.Agent == nil:
		fast.Result, fast.Detail = "warn", "/dev/kvm is there, and there is no program to try it by"
	default:
		found, err := p.accel.tryKVM(ctx, q, o.Kernel, o.Initrd, o.Image)
		if fast.Detail = found.Why; err != nil {
			fast.Result, fast.Detail = "fail", err.Error()
		} else if !found.Works {
			fast.Result, fast.Detail, fast.Hint = "warn", "/dev/kvm is there, but "+found.Why+": "+slow, "set accel = tcg to spare the attempt; a machine that is virtual itself may not be able to"
		}
	}
	out = append(out, fast)
	if path, err := exec.LookPath("qemu-img"); err == nil {
		out = append(out, compute.Finding{Result: "ok", What: "vm: qemu-img", Detail: path})
	} else {
		out = append(
			out,
			compute.Finding{
				Result: "skip", What: "vm: qemu-img",
				Detail: "not installed; hostler needs it not, people make images by it", Hint: "install qemu-utils",
			},
		)
	}
	return out
}

// examineJail starts a qemu in its jail; it prints its version and ends.
func (p *Provider) examineJail(ctx context.Context, q qemu.Program) compute.Finding {
	f := compute.Finding{Result: "ok", What: "vm: qemu's jail", Detail: "qemu starts with no rights, in name spaces and a root of its own"}
	err := p.tryJail(ctx, q)
	if err != nil {
		f.Result, f.Detail, f.Hint = "warn", strings.TrimSpace(err.Error())+": qemu runs without name spaces and a root of its own", "allow user name spaces to this user, or run hostler as root"
	}
	return f
}

func (p *Provider) tryJail(ctx context.Context, q qemu.Program) error {
	dir, err := os.MkdirTemp("", "hostler-jail-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	said, err := memory("said", nil)
	if err != nil {
		return err
	}
	defer said.Close()
	c := &cell{
		q: q, mark: "doctor/" + filepath.Base(dir), handed: &qemu.Handed{Dir: dir}, scratch: dir, args: []string{"--version"},
		memory: 64 << 20, log: said,
	}
	defer func() {
		_ = p.ungroup(ctx, c.mark)
		p.leaveGroups(ctx)
	}()
	started, err := p.launcher.lockUp(ctx, c, false)
	if err != nil {
		return err
	}
	state, err := started.Wait()
	if err == nil && !state.Success() {
		words, _ := io.ReadAll(io.NewSectionReader(said, 0, 1<<16))
		err = fmt.Errorf("%v: %s", state, lastLines(words))
	}
	return err
}
