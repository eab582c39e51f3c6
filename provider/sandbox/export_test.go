//go:build linux

package sandbox

// SetStep lets a test look at each step before it is done.
func (p *Provider) SetStep(f func(string) error) { p.step = f }
