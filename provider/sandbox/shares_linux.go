package sandbox

// What a sandbox may have of what the machine has once, for all that run on it, where
// no control group and no name space divides it. docs/budgets.md lists all of them.

// defaultPTYs is how many terminals a sandbox may have unless its source says.
const defaultPTYs = 64

// ptys is how many terminals a sandbox may have; 0: as many as the machine has.
func (p *Provider) ptys() int64 {
	switch {
	case p.without("ptys"):
		return 0
	case p.o.PTYs > 0:
		return int64(p.o.PTYs)
	}
	return defaultPTYs
}
