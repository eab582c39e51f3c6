package controller

import (
	"context"

	"github.com/hostler-project/hostler/slapos/master"
)

// watchSlapos has the master asked, at each scrape, how much there is.
func (m *meters) watchSlapos(of *master.Master) {
	if m == nil {
		return
	}
	computers := m.Reg.Gauge("hostler_slapos_computers", "Computers of the SlapOS master.")
	partitions := m.Reg.Gauge("hostler_slapos_partitions", "Partitions of its computers, by whether an instance has them.", "state")
	shared := m.Reg.Gauge("hostler_slapos_shared_instances", "Shared instances.")
	waiting := m.Reg.Gauge("hostler_slapos_waiting_instances", "Instances that there is no place for.")
	m.Reg.Before(func() {
		ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
		defer cancel()
		n, err := of.Counts(ctx)
		if err != nil {
			return // they stay as they were
		}
		computers.Set(float64(n.Computers))
		partitions.Set(float64(n.Partitions-n.Busy), "free")
		partitions.Set(float64(n.Busy), "busy")
		shared.Set(float64(n.Shared))
		waiting.Set(float64(n.Waiting))
	})
}
