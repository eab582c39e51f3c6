package configurecmd

import (
	"net/netip"
	"path/filepath"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/configure"
)

// check refuses bad options, and makes the paths absolute.
func (o *localOptions) check() error {
	ip, err := netip.ParseAddr(o.IP)
	switch {
	case err != nil || !ip.IsLoopback():
		return fault.Invalid(
			"hostler slapos proxy start can listen elsewhere, with certificates",
			"--daemon-listen-ip %s: an address of this machine alone, as 127.0.0.1", o.IP,
		)
	case o.Port < 1 || o.Port > 65535:
		return fault.Invalid("", "--daemon-listen-port %d: from 1 to 65535", o.Port)
	case o.Partitions < 1:
		return fault.Invalid("", "--partition-number %d: at least 1", o.Partitions)
	}
	if _, err := netip.ParsePrefix(o.Network); err != nil {
		return fault.Invalid("", "--ipv4-local-network: %w", err)
	}
	for option, text := range map[string]*string{
		"--slapos-instance-root": &o.Instances, "--slapos-software-root": &o.Software,
		"--slapos-buildout-directory": &o.Buildout, "--slapos-configuration-directory": &o.Dir,
	} {
		if *text, err = filepath.Abs(*text); err != nil {
			return err
		}
		if err := configure.OneLine(*text); err != nil {
			return fault.Invalid("", "%s: %w", option, err)
		}
	}
	if err := configure.OneLine(o.Interface + "."); err != nil {
		return fault.Invalid("", "--interface-name: %w", err)
	}
	return nil
}

// localOptions has the options of `slapos configure local`.
type localOptions struct {
	configure.Local
	cache bool
}
