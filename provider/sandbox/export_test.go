//go:build linux

package sandbox

import (
	"github.com/hostler-project/hostler/compute"
)

// SetStep lets a test look at each step before it is done.
func (p *Provider) SetStep(f func(string) error) { p.step = f }

// SetDisk sets a limit that Open refuses.
func (p *Provider) SetDisk(n int64) { p.o.Disk = n }

// HasAhead reports whether a first process is there ahead of need.
func (p *Provider) HasAhead() bool {
	p.ahead.mu.Lock()
	defer p.ahead.mu.Unlock()
	return p.ahead.spare != nil && !p.ahead.spare.handle.Ended()
}

// AheadPID is the number of the first process that is there ahead of need; 0: none is.
func (p *Provider) AheadPID() int {
	p.ahead.mu.Lock()
	defer p.ahead.mu.Unlock()
	if p.ahead.spare == nil {
		return 0
	}
	return p.ahead.spare.PID
}

// PID is the number of a sandbox's first process.
func (p *Provider) PID(id compute.ID) int {
	l, _, _ := p.readLife(id)
	return l.PID
}

// Guarded are the names that are read-only at the top of what is shared to be written to.
func Guarded() (names []string) {
	for _, g := range guarded {
		names = append(names, g.name)
	}
	return names
}

var Examine = examine
