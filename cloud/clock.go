package cloud

import (
	"time"
)

// timestamp is when something was recorded. It has the wall clock, which may be set, and the
// machine's uptime, which cannot. The cloud's own times are not used.
type timestamp struct {
	Wall time.Time `json:"wall"`
	// the machine and its boot; "" if there is no uptime
	Run string        `json:"run,omitempty"`
	Up  time.Duration `json:"up,omitempty"`
}

// now returns the current moment.
func (c *Cloud) now() timestamp {
	m := timestamp{Wall: time.Now().Round(0).UTC()}
	if c.uptime != nil {
		if run, up, err := c.uptime(); err == nil {
			m.Run, m.Up = run, up
		}
	}
	return m
}

// since returns the time that has passed since a moment, and is right even if the wall clock was
// set meanwhile. After a reboot, or on another machine, only the wall clock is left. A moment in
// its future counts as now.
func (c *Cloud) since(then timestamp) time.Duration {
	now := c.now()
	if then.Run != "" && then.Run == now.Run {
		return max(0, now.Up-then.Up)
	}
	return max(0, now.Wall.Sub(then.Wall))
}
