package network

// ErrCrash is what a step of SetStep returns to look like the death of the process.
var ErrCrash = errCrash

// SetStep calls f before each step.
func (n *Network) SetStep(f func(string) error) { n.step = f }

// Off switches defences off.
func (n *Network) Off(defences ...string) {
	n.off = map[string]bool{}
	for _, d := range defences {
		n.off[d] = true
	}
}

// SetFlows sets how many connections a sandbox may have.
func (n *Network) SetFlows(most uint32) { n.flows = most }

var Resolv = resolvConf
