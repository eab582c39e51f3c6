package compute

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Amount is a size: all that a computer has, or the part that a lease books. The zero value is
// nothing.
type Amount struct {
	// processor cores, to a millionth of one
	Cores  float64 `json:"cores"`
	Memory int64   `json:"memory"` // bytes
	Disk   int64   `json:"disk"`   // bytes
	GPUs   int     `json:"gpus"`
}

// Micro returns Cores in millionths, rounded, so that sums and comparisons are exact: ten tenths
// are one.
func (a Amount) Micro() int64 { return int64(math.Round(a.Cores * 1e6)) }

// Check returns an error if a request cannot ask for this size.
func (a Amount) Check() error {
	switch {
	case math.IsNaN(a.Cores) || math.IsInf(a.Cores, 0) || a.Cores < 0 || a.Cores > 1e9 || a.Cores > 0 && a.Micro() == 0:
		return fmt.Errorf("%v cores cannot be asked for", a.Cores)
	case a.Memory < 0:
		return fmt.Errorf("%d bytes of memory cannot be asked for", a.Memory)
	case a.Disk < 0:
		return fmt.Errorf("%d bytes of disk cannot be asked for", a.Disk)
	case a.GPUs < 0:
		return fmt.Errorf("%d GPUs cannot be asked for", a.GPUs)
	}
	return nil
}

// Plus returns the sum of both.
func (a Amount) Plus(b Amount) Amount {
	return Amount{Cores: float64(a.Micro()+b.Micro()) / 1e6, Memory: a.Memory + b.Memory, Disk: a.Disk + b.Disk, GPUs: a.GPUs + b.GPUs}
}

// Booked returns the sum of what leases have booked of a shared instance.
func Booked(leases []*Lease) (sum Amount) {
	for _, l := range leases {
		if l.Share != nil {
			sum = sum.Plus(*l.Share)
		}
	}
	return sum
}

// AmountOf reads an instance's size from its facts "cores", "memory", "disk" and "gpus". A missing
// or bad fact counts as 0. ok is false without good "cores": then the size is not known.
func AmountOf(facts map[string]string) (a Amount, ok bool) {
	cores, err := strconv.ParseFloat(facts["cores"], 64)
	whole := func(name string) int64 {
		n, err := strconv.ParseInt(facts[name], 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	a = Amount{Cores: cores, Memory: whole("memory"), Disk: whole("disk"), GPUs: int(whole("gpus"))}
	if err != nil || a.Check() != nil {
		return Amount{}, false
	}
	return a, true
}

// String returns a size for people: "2 cores, 4G memory".
func (a Amount) String() string {
	parts := []string{plural(strconv.FormatFloat(float64(a.Micro())/1e6, 'f', -1, 64), "core")}
	if a.Memory != 0 {
		parts = append(parts, Bytes(a.Memory)+" memory")
	}
	if a.Disk != 0 {
		parts = append(parts, Bytes(a.Disk)+" disk")
	}
	if a.GPUs != 0 {
		parts = append(parts, plural(strconv.Itoa(a.GPUs), "GPU"))
	}
	return strings.Join(parts, ", ")
}

func plural(n, word string) string {
	if n == "1" {
		return n + " " + word
	}
	return n + " " + word + "s"
}

// Bytes formats a number of bytes as configuration has it: "512M", "1.5G", in powers of 1024.
func Bytes(n int64) string {
	const units = "KMGTPE"
	f, unit := float64(n), ""
	for k := 0; k < len(units) && math.Abs(f) >= 1024; k++ {
		f, unit = f/1024, units[k:k+1]
	}
	return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) + unit
}
