package sandbox

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/homes"
)

// owner is the marker in an instance's directory.
type owner struct {
	homes.Owner
	Image  string `json:"image"`
	Cores  int    `json:"cores,omitempty"`  // at least, as asked for when it was made; 0: any
	Memory int64  `json:"memory,omitempty"` // bytes, at least
	Disk   int64  `json:"disk,omitempty"`   // bytes, at least
}

// keep says how instances are kept: a sandbox takes milliseconds to make, so its directory has to
// be quick too.
func (p *Provider) keep() *homes.Dir[owner] {
	return &homes.Dir[owner]{Place: p.o.Dir, Installation: p.o.Installation, Source: p.o.Source, Log: p.log, InPlace: true, Step: p.at}
}

func (p *Provider) home(id compute.ID) string { return p.homes.Path(id) }
