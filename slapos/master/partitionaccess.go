package master

import (
	"context"
	"net"

	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/record"
)

// Reaches reports whether a caller may reach the pages of a partition with an address. A user may
// reach partitions of own instances, a node its own, an administrator all. Nodes choose these
// addresses, so the code that connects must check the address too.
func (m *computers) Reaches(ctx context.Context, who access.Who, ip net.IP) (ok bool, err error) {
	if err := m.ledger.Refresh(ctx); err != nil {
		return false, err
	}
	err = m.ledger.Read(func(b ledger.View) error {
		mem := b.(*ledger.Memory)
		for _, guid := range mem.GUIDs() {
			for _, p := range mem.Computers[guid].Record.Partitions {
				if !hasAddress(&p, ip) {
					continue
				}
				if who.Speaks(guid) == nil {
					ok = true
					return nil
				}
				n, err := b.At(guid, p.ID)
				if err != nil {
					return err
				}
				if n != nil && who.Holds(n) == nil {
					ok = true
					return nil
				}
			}
		}
		return nil
	})
	return ok, err
}

func hasAddress(p *record.Partition, ip net.IP) bool {
	for _, a := range p.Addresses {
		if ip.Equal(net.ParseIP(a.IP)) {
			return true
		}
	}
	return false
}
