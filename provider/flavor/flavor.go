package flavor

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/share"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// Flavor is a size of hardware that a cloud has.
type Flavor struct {
	ID    string
	Name  string
	Cores int
	RAM   int     // MiB
	Disk  int     // GiB
	GPUs  int     // 0 also where the cloud does not say
	Price float64 // per hour, in any currency; 0: not known
}

// Size returns the flavor as an amount.
func (f Flavor) Size() compute.Resources {
	return compute.Resources{Cores: float64(f.Cores), Memory: int64(f.RAM) * mib, Disk: int64(f.Disk) * gib, GPUs: f.GPUs}
}

// HasSpaceFor returns how many jobs of a size fit on an empty server of this flavor. The size is in
// cores, MiB and GiB.
func (f Flavor) HasSpaceFor(cores float64, ram, disk int) int {
	return share.Of(f.Size()).Fits(Part(cores, ram, disk))
}

// Part returns an amount of cores, MiB of memory and GiB of disk.
func Part(cores float64, ram, disk int) compute.Resources {
	return compute.Resources{Cores: cores, Memory: int64(ram) * mib, Disk: int64(disk) * gib}
}

// String returns the name, the id if it differs, and the size: "m1.small (2): 1 core, 2G memory,
// 20G disk".
func (f Flavor) String() string {
	name := f.Name
	if name == "" {
		name = f.ID
	} else if f.ID != "" && f.ID != f.Name {
		name += " (" + f.ID + ")"
	}
	return name + ": " + f.Size().String()
}

// Compare orders flavors, the cheapest first: by cores, memory, disk and GPUs, in this order. Equal
// ones are ordered by price (an unknown price comes last), then by name and id.
func Compare(a, b Flavor) int {
	if c := cmp.Or(
		cmp.Compare(a.Cores, b.Cores), cmp.Compare(a.RAM, b.RAM), cmp.Compare(a.Disk, b.Disk),
		cmp.Compare(a.GPUs, b.GPUs),
	); c != 0 {
		return c
	}
	if known := a.Price > 0; known != (b.Price > 0) {
		if known {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Price, b.Price), strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
}

// Need is what a server must have; the zero value is met by every flavor. Disk is no part of it:
// where a flavor's disk is too small, the server gets a volume.
type Need struct {
	Cores int    // at least
	RAM   int    // at least, MiB
	GPUs  int    // at least
	Regex string // must match a part of the flavor's name; "": any name
}

// NeedOf returns the need of a computer that is to be made. regex is for the flavor's name.
func NeedOf(s compute.Spec, regex string) Need {
	return Need{Cores: s.Cores, RAM: int((s.Memory + mib - 1) / mib), GPUs: s.GPUs, Regex: regex}
}

func (n Need) String() string {
	text := compute.Resources{Cores: float64(n.Cores), Memory: int64(n.RAM) * mib, GPUs: n.GPUs}.String()
	if n.Regex != "" {
		text += fmt.Sprintf(", and a name that matches %q", n.Regex)
	}
	return text
}

// metBy reports whether a flavor is large enough. It does not look at the name.
func (n Need) metBy(f Flavor) bool { return f.Cores >= n.Cores && f.RAM >= n.RAM && f.GPUs >= n.GPUs }
