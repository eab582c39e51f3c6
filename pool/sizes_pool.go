package pool

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
)

// learnSize notes the size of an instance that was made as its source says. The next one is assumed
// to have it until it tells its own.
func (p *providers) learnSize(u *allocate.Grant) {
	has, known := compute.AmountOf(u.Instance.Facts)
	if !known || u.Demand.Chosen() {
		return
	}
	p.core.mu.Lock()
	defer p.core.mu.Unlock()
	if p.sizes == nil {
		p.sizes = map[int64]compute.Amount{}
	}
	p.sizes[u.Instance.SourceKey] = has
}

// learnt returns the size of what a source made last; known is false if no instance has told its
// size.
func (p *providers) learnt(key int64) (has compute.Amount, known bool) {
	p.core.mu.Lock()
	defer p.core.mu.Unlock()
	has, known = p.sizes[key]
	return has, known
}
