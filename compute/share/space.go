package share

import (
	"math"

	"github.com/hostler-project/hostler/compute"
)

// idlersPerCore is how many parts without cores lie on each core, idlersOnNone how many on an
// instance that has no core.
const (
	idlersPerCore = 2
	idlersOnNone  = 4
)

// Space is a computer's size and what is booked of it. One goroutine uses it at a time.
type Space struct {
	size   compute.Resources
	cores  int64 // booked, in millionths: sums of tenths are exact
	memory int64
	disk   int64
	gpus   int
	idlers int // parts without cores
	parts  int
}

// Of returns the space of a computer of a size, with parts booked. It does not check that they fit:
// they exist already.
func Of(size compute.Resources, parts ...compute.Resources) *Space {
	s := &Space{size: size}
	for _, p := range parts {
		s.Add(p)
	}
	return s
}

// Add books a part without checking that it fits: it exists already.
func (s *Space) Add(part compute.Resources) { s.add(part, 1) }

// Has reports whether a part fits.
func (s *Space) Has(part compute.Resources) bool {
	if part.Check() != nil {
		return false
	}
	if part.Memory > s.size.Memory-s.memory || part.Disk > s.size.Disk-s.disk || part.GPUs > s.size.GPUs-s.gpus {
		return false
	}
	if part.Micro() == 0 {
		return s.Idle() > 0
	}
	return part.Micro() <= s.size.Micro()-s.cores
}

// Idle returns how many more parts without cores fit.
func (s *Space) Idle() int {
	if s.size.Micro() == 0 {
		return idlersOnNone - s.idlers
	}
	return int(math.Floor(idlersPerCore*s.size.Cores)) - s.idlers
}

// Fits returns how many parts of a size fit, for planning. It uses plain quotients: where these are
// a hair below a whole number it returns one less than could be booked in turn. It never returns
// more than fit, and never 0 where Has reports true.
func (s *Space) Fits(part compute.Resources) int {
	if !s.Has(part) {
		return 0
	}
	n := float64(s.Idle())
	if part.Micro() > 0 {
		n = math.Floor(float64(s.size.Micro()-s.cores) / 1e6 / part.Cores)
	}
	for _, of := range [][2]int64{
		{s.size.Memory - s.memory, part.Memory}, {s.size.Disk - s.disk, part.Disk},
		{int64(s.size.GPUs - s.gpus), int64(part.GPUs)},
	} {
		if of[1] > 0 {
			n = min(n, float64(of[0]/of[1]))
		}
	}
	return max(1, int(min(n, math.MaxInt32)))
}

// Book books a part if it fits, and reports whether it did.
func (s *Space) Book(part compute.Resources) bool {
	if !s.Has(part) {
		return false
	}
	s.add(part, 1)
	return true
}

// Unbook removes a part that was booked.
func (s *Space) Unbook(part compute.Resources) { s.add(part, -1) }

// add counts n parts in; a negative n takes them out.
func (s *Space) add(part compute.Resources, n int) {
	s.parts += n
	s.cores += int64(n) * part.Micro()
	s.memory += int64(n) * part.Memory
	s.disk += int64(n) * part.Disk
	s.gpus += n * part.GPUs
	if part.Micro() == 0 {
		s.idlers += n
	}
}

// Parts returns how many parts are booked.
func (s *Space) Parts() int { return s.parts }

// Booked returns the sum of the parts.
func (s *Space) Booked() compute.Resources {
	return compute.Resources{Cores: float64(s.cores) / 1e6, Memory: s.memory, Disk: s.disk, GPUs: s.gpus}
}

// Free returns what is left. It does not count places for parts without cores.
func (s *Space) Free() compute.Resources {
	return compute.Resources{
		Cores: float64(s.size.Micro()-s.cores) / 1e6, Memory: s.size.Memory - s.memory, Disk: s.size.Disk - s.disk,
		GPUs: s.size.GPUs - s.gpus,
	}
}

// Over reports whether more is booked than there is, which must never be.
func (s *Space) Over() bool {
	return s.cores > s.size.Micro() || s.memory > s.size.Memory || s.disk > s.size.Disk || s.gpus > s.size.GPUs || s.Idle() < 0
}
