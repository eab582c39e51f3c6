package vm

import (
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/egress"
	"github.com/hostler-project/hostler/provider/sandbox/network"
)

// egress returns the policy of where instances may go.
func (o *options) egress() (egress.Policy, error) {
	may, err := egress.Parse(o.Egress)
	switch {
	case err != nil:
		return may, provider.WrongKey("egress", compute.Hint(err), "%w", err)
	case len(o.Egress) > 0 && o.Network != "user":
		return may, provider.WrongKey("egress", "", "egress = %s: only network = user is walled in", may)
	case may.Named():
		return may, provider.WrongKey("egress", "give addresses or ranges", "egress = %s: names are for sandboxes", may)
	}
	return may, nil
}

// wallIn limits the connections that a qemu makes for its guest. qemu runs as a user of its own, by
// which the kernel knows them. The limit also holds for a guest that breaks out into qemu, so
// egress = none, which qemu keeps by itself, has a wall as well. With uid 0 qemu has no user of its
// own, so its guest reaches what hostler's user reaches; a source with egress is refused then.
func (p *launcher) wallIn(uid int) error {
	may, err := p.p.o.egress()
	if err != nil {
		return err
	}
	if uid == 0 {
		err = errors.New("only root gives virtual machines users of their own, by which their connections are known")
	} else if servers, serr := network.OwnNameservers(); serr != nil {
		err = serr
	} else {
		err = network.Users{First: uidFirst, Nameservers: servers}.Admit(uint32(uid), may)
	}
	switch {
	case err == nil:
		return nil
	case len(p.p.o.Egress) == 0:
		p.p.log.Warn(
			"a virtual machine reaches what this machine's programs reach: its network has no wall", "source",
			p.p.o.Source, "err", err,
		)
		return nil
	case may.None():
		p.p.log.Warn(
			"qemu alone keeps a virtual machine from the network: what breaks out into qemu has no wall", "source",
			p.p.o.Source, "err", err,
		)
		return nil
	}
	return &compute.Error{Op: "vm.Create", Kind: compute.ErrDenied, Err: fmt.Errorf("egress = %s cannot be kept: %w", may, err),
		Hint: "use egress = none, or a sandbox, or let hostler run as root"}
}
