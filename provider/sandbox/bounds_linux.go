package sandbox

import (
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/egress"
	"github.com/hostler-project/hostler/provider/sandbox/mask"
	"github.com/hostler-project/hostler/provider/sandbox/network"
	"github.com/hostler-project/hostler/text/units"
)

// The least with which a sandbox starts and has something left for a command.
const (
	leastMemory = 32 << 20 // bytes
	leastDisk   = 1 << 20  // bytes
	leastPIDs   = 64
)

// Check validates the keys, without opening anything. Its errors are provider.KeyErrors.
func (o Options) Check() error {
	_, _, err := o.read()
	return err
}

// without reports whether a test switched a defence off.
func (o *Options) without(defence string) bool { return slices.Contains(o.Without, defence) }

// read parses the options.
func (o *Options) read() (mounts []share, ports []network.Forward, err error) {
	switch {
	case o.Upper != "" && o.Upper != "ram" && o.Upper != "disk":
		return nil, nil, provider.WrongKey("upper", "", "upper = %s: not ram or disk", o.Upper)
	case o.Network != "" && o.Network != "none" && o.Network != "nat":
		return nil, nil, provider.WrongKey("network", "", "network = %s: not none or nat", o.Network)
	case strings.HasPrefix(o.Image, "."):
		return nil, nil, provider.WrongKey("image", "", "image = %s: from which directory? give an absolute path", o.Image)
	}
	if p, err := egress.Parse(o.Egress); err != nil {
		return nil, nil, provider.WrongKey("egress", compute.Hint(err), "%w", err)
	} else if o.Network == "none" && !p.None() && len(o.Egress) > 0 {
		return nil, nil, provider.WrongKey("egress", "", "egress = %s, and network = none: there is no way out", p)
	}
	if err := o.bounds(); err != nil {
		return nil, nil, err
	}
	for _, of := range []struct {
		key  string
		said []string
	}{{"mounts", o.Mounts}, {"tree", []string{o.Tree}}} {
		if len(of.said) == 1 && of.said[0] == "" {
			continue
		}
		more, err := shares(of.said, o.Home)
		if err != nil {
			return nil, nil, provider.WrongKey(of.key, "", "%w", err)
		}
		mounts = append(mounts, more...)
	}
	if err := o.paths(); err != nil {
		return nil, nil, err
	}
	for _, w := range o.Ports {
		f, err := network.ParseForward(w)
		if err != nil {
			return nil, nil, provider.WrongKey("ports", "", "ports = %s: %w", w, err)
		}
		ports = append(ports, f)
	}
	if len(ports) > 0 && (o.Network == "none" || os.Geteuid() != 0) {
		return nil, nil, provider.WrongKey("ports", "", "ports lead into a sandbox with network = nat, which only root can make")
	}
	return mounts, ports, nil
}

// paths refuses paths of a source's keys that cannot be.
func (o *Options) paths() error {
	for _, w := range o.Mounts {
		if why := mask.Odd(w); why != "" {
			return provider.WrongKey("mounts", "write absolute paths, or such as begin with ~/", "mounts = %q: %s", w, why)
		}
	}
	for _, w := range o.Writes {
		if !slices.ContainsFunc(guarded, func(g guard) bool { return g.name == w }) {
			var all []string
			for _, g := range guarded {
				all = append(all, g.name)
			}
			return provider.WrongKey("writable", "take it out; the names that are read-only without it are "+strings.Join(all, ", "),
				"writable = %q: nothing keeps a sandbox from writing that in what is mounted rw", w)
		}
	}
	m := mask.Options{Home: o.Home, State: o.State, Extra: o.Hide, Show: o.Show}
	return m.Check()
}

// bounds refuses limits of a source that cannot be.
func (o *Options) bounds() error {
	switch cores := runtime.NumCPU(); {
	case o.Cores < 0 || o.Cores > float64(cores):
		return provider.WrongKey("cores", "", "cores = %v: more than 0, up to the %d that this machine has", o.Cores, cores)
	case o.Memory != 0 && o.Memory < leastMemory:
		return provider.WrongKey(
			"memory", "", "memory = %s: at least %s, as the sandbox's own process needs some", units.FormatSize(o.Memory),
			units.FormatSize(leastMemory),
		)
	case o.Memory > installed():
		return provider.WrongKey(
			"memory", "", "memory = %s: at most the %s that this machine has", units.FormatSize(o.Memory),
			units.FormatSize(installed()),
		)
	case o.Disk != 0 && o.Disk < leastDisk:
		return provider.WrongKey(
			"disk", "", "disk = %s: at least %s, as the sandbox's own files need some", units.FormatSize(o.Disk),
			units.FormatSize(leastDisk),
		)
	case o.PIDs != 0 && o.PIDs < leastPIDs:
		return provider.WrongKey("pids", "", "pids = %d: at least %d, as the sandbox's own process needs some thirty", o.PIDs, leastPIDs)
	case o.PTYs < 0:
		return provider.WrongKey("ptys", "", "ptys = %d: at least 1", o.PTYs)
	case o.Upper == "disk" && o.Disk > 0 && os.Geteuid() != 0:
		return provider.WrongKey("disk", "", "disk = %s: only root can limit what is written with upper = disk", units.FormatSize(o.Disk))
	}
	return nil
}
