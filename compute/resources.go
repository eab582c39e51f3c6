package compute

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/text/units"
)

// Resources are a size: all that a computer has, or the part that a lease books. The zero value is
// nothing.
type Resources struct {
	// processor cores, to a millionth of one
	Cores  float64 `json:"cores"`
	Memory int64   `json:"memory"` // bytes
	Disk   int64   `json:"disk"`   // bytes
	GPUs   int     `json:"gpus"`
}

// Micro returns Cores in millionths, rounded, so that sums and comparisons are exact: ten tenths
// are one.
func (a Resources) Micro() int64 { return int64(math.Round(a.Cores * 1e6)) }

// Check returns an error if a request cannot ask for this size.
func (a Resources) Check() error {
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
func (a Resources) Plus(b Resources) Resources {
	return Resources{Cores: float64(a.Micro()+b.Micro()) / 1e6, Memory: a.Memory + b.Memory, Disk: a.Disk + b.Disk, GPUs: a.GPUs + b.GPUs}
}

// String returns a size for people: "2 cores, 4G memory".
func (a Resources) String() string {
	parts := []string{plural(strconv.FormatFloat(float64(a.Micro())/1e6, 'f', -1, 64), "core")}
	if a.Memory != 0 {
		parts = append(parts, units.RoundSize(a.Memory)+" memory")
	}
	if a.Disk != 0 {
		parts = append(parts, units.RoundSize(a.Disk)+" disk")
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
