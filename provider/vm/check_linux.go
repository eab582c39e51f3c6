package vm

import (
	"cmp"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/vm/qcow"
)

// The bounds of limits of input and output: below them no machine boots, above them nothing is
// limited.
const (
	minIO, maxIO     = 64 << 10, 1 << 40
	minIOPS, maxIOPS = 10, 1_000_000_000
)

// Check validates the keys, without a look at any file. Its errors are provider.KeyErrors.
func (o options) Check() error { return o.read() }

// read fills in the defaults, and refuses keys that cannot be.
func (o *options) read() error {
	o.Machine, o.Accel, o.Network = cmp.Or(o.Machine, "auto"), cmp.Or(o.Accel, "auto"), cmp.Or(o.Network, "user")
	o.Access, o.User, o.Append = cmp.Or(o.Access, "virtio-serial"), cmp.Or(o.User, "root"), cmp.Or(o.Append, "console=ttyS0")
	o.Cores, o.Memory = cmp.Or(o.Cores, 1), cmp.Or(o.Memory, 512<<20)
	if !filepath.IsAbs(o.Image) &&
		(strings.HasPrefix(o.Image, ".") || slices.Contains([]string{".qcow2", ".raw", ".img"}, filepath.Ext(o.Image))) {
		return provider.WrongKey("image", "", "image = %s: no absolute path, and no name of an image", o.Image)
	}
	for key, path := range map[string]string{"kernel": o.Kernel, "initrd": o.Initrd, "seed": o.Seed} {
		if path != "" && !filepath.IsAbs(path) {
			return provider.WrongKey(key, "", "%s = %s: no absolute path", key, path)
		}
	}
	for _, w := range o.Ports {
		if _, _, _, err := forward(w); err != nil {
			return provider.WrongKey("ports", "ports = 8080:80, 53/udp", "%w", err)
		}
	}
	if _, err := o.egress(); err != nil {
		return err
	}
	link, tap := strings.CutPrefix(o.Network, "tap:")
	switch {
	case o.Initrd != "" && o.Kernel == "":
		return provider.WrongKey("initrd", "", "an initrd without a kernel")
	case !slices.Contains([]string{"auto", "q35", "pc", "microvm"}, o.Machine):
		return provider.WrongKey("machine", "", "machine = %s: not auto, q35, pc or microvm", o.Machine)
	case o.Machine == "microvm" && o.Kernel == "":
		return provider.WrongKey("machine", "set kernel and initrd, or take machine = q35", "machine = microvm needs a kernel")
	case !slices.Contains([]string{"auto", "kvm", "tcg"}, o.Accel):
		return provider.WrongKey("accel", "", "accel = %s: not auto, kvm or tcg", o.Accel)
	case o.Network != "user" && o.Network != "none" && (!tap || link == ""):
		return provider.WrongKey("network", "", "network = %s: not user, none or tap:LINK", o.Network)
	case len(o.Ports) > 0 && o.Network != "user":
		return provider.WrongKey("ports", "", "ports are forwarded with network = user only")
	case o.Access != "virtio-serial" && o.Access != "ssh":
		return provider.WrongKey("agent", "", "agent = %s: not virtio-serial or ssh", o.Access)
	case o.Access == "ssh" && o.Network != "user":
		return provider.WrongKey("agent", "", "agent = ssh needs network = user")
	case o.Warm && (o.Access == "ssh" || tap):
		return provider.WrongKey(
			"warm", "take network = user or none, and agent = virtio-serial",
			"warm = yes: copies would have one address, or one host key",
		)
	case o.Cores < 0 || o.Cores > runtime.NumCPU():
		return provider.WrongKey("cores", "", "cores = %d: more than 0, up to the %d that this machine has", o.Cores, runtime.NumCPU())
	case o.Memory > installed():
		return provider.WrongKey("memory", "", "memory = %d MiB: at most the %d that this machine has", o.Memory>>20, installed()>>20)
	case o.Memory < 32<<20:
		return provider.WrongKey("memory", "", "memory = %d: less than 32 MiB", o.Memory)
	case o.Disk < 0 || o.Disk > qcow.Most:
		return provider.WrongKey("disk", "", "disk = %d: from nothing to %d GiB", o.Disk, int64(qcow.Most>>30))
	case o.IO != 0 && (o.IO < minIO || o.IO > maxIO):
		return provider.WrongKey("io", "io = 50M", "io = %d: from 64 KiB a second to %d GiB", o.IO, int64(maxIO>>30))
	case o.IOPS != 0 && (o.IOPS < minIOPS || o.IOPS > maxIOPS):
		return provider.WrongKey("iops", "iops = 1000", "iops = %d: from %d to %d a second", o.IOPS, minIOPS, maxIOPS)
	case strings.ContainsFunc(o.User, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`:"'{}[]#&*!|>%@\`, r) }):
		return provider.WrongKey("user", "", "user = %q: no name of a user", o.User)
	}
	return nil
}
