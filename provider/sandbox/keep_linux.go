package sandbox

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/instancedirs"
)

// instanceRecord is the record in an instance's directory.
type instanceRecord struct {
	instancedirs.Owner
	Image  string `json:"image"`
	Cores  int    `json:"cores,omitempty"`  // at least, as requested when it was made; 0: any
	Memory int64  `json:"memory,omitempty"` // bytes, at least
	Disk   int64  `json:"disk,omitempty"`   // bytes, at least
}

// keep opens the directory of instances. They are made in place: a sandbox takes milliseconds to
// make, so its directory has to be quick too.
func (p *Provider) keep() *instancedirs.Dir[instanceRecord] {
	return &instancedirs.Dir[instanceRecord]{
		Place: p.o.Dir, Installation: p.o.Installation, Source: p.o.Source,
		Log: p.log, InPlace: true, Step: p.at,
	}
}

func (p *Provider) home(id compute.ID) string { return p.homes.Path(id) }
