package proc

import "time"

// Reading is the wall clock, which may be set, and the machine's uptime, which cannot, both read at
// one moment.
type Reading struct {
	Wall time.Time `json:"wall"`
	// the run of the machine, as Uptime names it; "": its uptime is not known
	Run string        `json:"run,omitempty"`
	Up  time.Duration `json:"up,omitempty"`
}

// apart is how far apart the two clocks may be read.
const apart = 500 * time.Millisecond

// Read reads both clocks. uptime is Uptime, or one of a test; nil: there is none. The uptime is not
// known either if the machine is too slow to read both at one moment.
func Read(uptime func() (run string, up time.Duration, err error)) Reading {
	// without the monotonic clock, which differences would be taken by
	wall := func() time.Time { return time.Now().Round(0).UTC() }
	for n := 0; uptime != nil && n < 10; n++ { // this process may stand still between the two
		_, before, err := uptime()
		now := wall()
		run, up, e := uptime()
		if err != nil || e != nil || run == "" {
			break
		}
		if up-before < apart {
			return Reading{now, run, up}
		}
	}
	return Reading{Wall: wall()}
}

// Since returns the time that has passed since another reading, and is right even if the wall clock
// was set meanwhile. After a reboot, or on another machine, only the wall clock is left. A reading
// in its future counts as now.
func (r Reading) Since(then Reading) time.Duration {
	if then.Run != "" && then.Run == r.Run {
		return max(0, r.Up-then.Up)
	}
	return max(0, r.Wall.Sub(then.Wall))
}

// SetBy returns by how much the wall clock was set forward since another reading of the same run;
// below 0: back.
func (r Reading) SetBy(then Reading) time.Duration { return r.Wall.Sub(then.Wall) - (r.Up - then.Up) }
