package nodecmd

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/node/service"
	"github.com/hostler-project/hostler/slapos/node/standalone"
)

// standaloneOptions is what a command line of `slapos standalone` says.
type standaloneOptions struct {
	standalone.StartOptions
	ipv4, ipv6 string
	manual     bool     // the passes are the command's affair
	words      []string // of the command that it is for; nil: it is until a signal comes
}

// standalone does what `slapos standalone` does.
func runStandalone(ctx context.Context, s *session.Session, o *standaloneOptions, dir string, said func(name string) bool) error {
	if s.File != "" {
		return fault.Invalid("", "--cfg: the settings are written to %s", filepath.Join(dir, standalone.Config))
	}
	if err := service.CheckPlatform(); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		return &compute.Error{
			Kind: compute.ErrDenied,
			Err:  errors.New("a SlapOS in a directory is an ordinary user's: root builds and runs nothing of its own"),
			Hint: "be another user; or be a real node: hostler slapos node format",
		}
	}
	var err error
	o.Dir, o.Auto = dir, !o.manual
	if o.Program, err = os.Executable(); err != nil {
		return err
	}
	if said("software-root") {
		if o.Software == "" {
			return fault.Invalid("soft in the directory is used where it was never said", "--software-root: there is no name")
		}
		if o.Software, err = filepath.Abs(o.Software); err != nil {
			return err
		}
	}
	if o.Buildout != "" {
		if o.Buildout, err = exec.LookPath(o.Buildout); err == nil {
			o.Buildout, err = filepath.Abs(o.Buildout)
		}
		if err != nil {
			return fault.Invalid("", "--buildout: %w", err)
		}
	}
	// Options that were not given keep their earlier values.
	for name, to := range map[string]*string{"base-name": &o.Base, "computer-id": &o.Computer} {
		if !said(name) {
			*to = ""
		} else if *to == "" {
			return fault.Invalid("", "--%s: there is no name", name)
		}
	}
	if !said("partitions") {
		o.Partitions = 0
	} else if o.Partitions < 1 {
		return fault.Invalid("", "--partitions %d: 1 at least", o.Partitions)
	}
	for _, one := range []struct {
		name, text string
		to         *netip.Prefix
	}{{"ipv4", o.ipv4, &o.IPv4}, {"ipv6", o.ipv6, &o.IPv6}} {
		if !said(one.name) {
			continue
		}
		if o.NoIPv6 = one.text == "" && one.name == "ipv6"; o.NoIPv6 {
			continue
		}
		if at, err := netip.ParseAddr(one.text); err == nil {
			*one.to = netip.PrefixFrom(at, at.BitLen())
		} else if *one.to, err = netip.ParsePrefix(one.text); err != nil {
			return fault.Invalid("", "--%s %s: neither an address nor ADDRESS/LENGTH", one.name, one.text)
		}
	}
	return stand(ctx, s, o)
}
