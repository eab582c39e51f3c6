package chroot

// SetStep has f told of each step before it is done. An error from it ends the call there, as a
// kill would.
func (p *Provider) SetStep(f func(step string) error) { p.step = f }

type Options = options

const Mark = markVariable

var Open = open
