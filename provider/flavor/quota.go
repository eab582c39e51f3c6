package flavor

import (
	"fmt"
	"strings"
)

// Resources are the things that a quota counts.
type Resources struct {
	Cores     int
	RAM       int // MiB
	Instances int
	Volume    int // GiB
}

// Plus returns the sum of both.
func (r Resources) Plus(o Resources) Resources {
	return Resources{r.Cores + o.Cores, r.RAM + o.RAM, r.Instances + o.Instances, r.Volume + o.Volume}
}

// Minus returns the difference of both.
func (r Resources) Minus(o Resources) Resources {
	return r.Plus(Resources{-o.Cores, -o.RAM, -o.Instances, -o.Volume})
}

// Takes returns what one server of a flavor takes of a quota. disk is the least size in GiB. A
// server of a smaller flavor boots from a volume of that size.
func (f Flavor) Takes(disk int) Resources {
	r := Resources{Cores: f.Cores, RAM: f.RAM, Instances: 1}
	if disk > f.Disk {
		r.Volume = disk
	}
	return r
}

// Quota is the maximum and the use of each thing. A maximum of 0 or less is no limit.
type Quota struct {
	Max  Resources
	Used Resources
}

// Unlimited is the limit of a caller that has no limit besides the quota.
const Unlimited = -1

// Spawnable returns how many more servers of a flavor the quota allows. disk is as in Takes, and
// reserved is for servers that are being requested. limit is how many more the caller's own limit
// allows, or Unlimited. With no limit at all, n is a large number. If n is 0, why names the quota
// that forbids it, in words for the user.
func (q Quota) Spawnable(f Flavor, disk int, reserved Resources, limit int) (n int, why string) {
	const many = 1 << 30
	n = many
	takes, used := f.Takes(disk), q.Used.Plus(reserved)
	var short []string
	for _, one := range []struct {
		name, unit            string
		maximum, used, wanted int
	}{
		{"instances", "", q.Max.Instances, used.Instances, takes.Instances},
		{"cores", "", q.Max.Cores, used.Cores, takes.Cores},
		{"RAM", " MiB", q.Max.RAM, used.RAM, takes.RAM},
		{"volumes", " GiB", q.Max.Volume, used.Volume, takes.Volume},
	} {
		if one.maximum <= 0 || one.wanted <= 0 {
			continue
		}
		left := max(0, one.maximum-one.used)
		n = min(n, left/one.wanted)
		if left < one.wanted {
			text := fmt.Sprintf("%s: %d%s needed, %d%s left of %d%s", one.name, one.wanted, one.unit, left, one.unit, one.maximum, one.unit)
			if one.wanted > one.maximum {
				text += ", so it can never fit"
			}
			short = append(short, text)
		}
	}
	if limit >= 0 {
		n = min(n, limit)
		if limit == 0 {
			short = append(short, "the maximum number of servers is reached")
		}
	}
	if len(short) > 0 {
		why = "not enough quota for a server of flavor " + f.Name + ": " + strings.Join(short, "; ")
	}
	return n, why
}

// Possible reports whether the quota could allow a server of a flavor if there were no others. If
// not, why says which quota forbids it.
func (q Quota) Possible(f Flavor, disk int) (ok bool, why string) {
	n, why := Quota{Max: q.Max}.Spawnable(f, disk, Resources{}, Unlimited)
	return n > 0, why
}
