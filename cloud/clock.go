package cloud

import (
	"time"
)

// moment is when something was recorded: by the wall clock, which somebody may set, and by how long
// the machine had run, which nobody can. What a cloud says of the time counts for nothing.
type moment struct {
	Wall time.Time `json:"wall"`
	// of which machine, and which run of it; "": there is no such clock
	Run string        `json:"run,omitempty"`
	Up  time.Duration `json:"up,omitempty"`
}

// now is this moment.
func (c *Cloud) now() moment {
	m := moment{Wall: time.Now().Round(0).UTC()}
	if c.uptime != nil {
		if run, up, err := c.uptime(); err == nil {
			m.Run, m.Up = run, up
		}
	}
	return m
}

// since is how much time has passed since a moment, however the wall clock was set meanwhile. Where
// the machine was started anew since, or it was another machine, the wall clock has to do: a moment
// that lies ahead of it is now.
func (c *Cloud) since(then moment) time.Duration {
	now := c.now()
	if then.Run != "" && then.Run == now.Run {
		return max(0, now.Up-then.Up)
	}
	return max(0, now.Wall.Sub(then.Wall))
}
