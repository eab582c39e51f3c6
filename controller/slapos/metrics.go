package slapos

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/observe/metric"

	"github.com/hostler-project/hostler/slapos/master"
)

// countTime is how long the master may take to count.
const countTime = 5 * time.Second

// watch reads the master's numbers at each scrape.
func watch(r *metric.Registry, of *master.Master) {
	if r == nil {
		return
	}
	computers := r.Gauge("hostler_slapos_computers", "Computers of the SlapOS master.")
	partitions := r.Gauge("hostler_slapos_partitions", "Partitions of its computers, by whether an instance has them.", "state")
	shared := r.Gauge("hostler_slapos_shared_instances", "Shared instances.")
	waiting := r.Gauge("hostler_slapos_waiting_instances", "Instances that there is no place for.")
	r.Before(func() {
		ctx, cancel := context.WithTimeout(context.Background(), countTime)
		defer cancel()
		n, err := of.Counts(ctx)
		if err != nil {
			return // the last values stay
		}
		computers.Set(float64(n.Computers))
		partitions.Set(float64(n.Partitions-n.Busy), "free")
		partitions.Set(float64(n.Busy), "busy")
		shared.Set(float64(n.Shared))
		waiting.Set(float64(n.Waiting))
	})
}
