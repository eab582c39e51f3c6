package share

import (
	"strconv"

	"github.com/hostler-project/hostler/compute"
)

// SizeOf reads an instance's size from its facts "cores", "memory", "disk" and "gpus". A missing
// or bad fact counts as 0. ok is false without good "cores": then the size is not known.
func SizeOf(facts map[string]string) (a compute.Resources, ok bool) {
	cores, err := strconv.ParseFloat(facts["cores"], 64)
	whole := func(name string) int64 {
		n, err := strconv.ParseInt(facts[name], 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	a = compute.Resources{Cores: cores, Memory: whole("memory"), Disk: whole("disk"), GPUs: int(whole("gpus"))}
	if err != nil || a.Check() != nil {
		return compute.Resources{}, false
	}
	return a, true
}

// Booked returns the sum of what leases have booked of a shared instance.
func Booked(leases []*compute.Lease) (sum compute.Resources) {
	for _, l := range leases {
		if l.Share != nil {
			sum = sum.Plus(*l.Share)
		}
	}
	return sum
}
