package cloud

import (
	"time"
)

// The scripts of the shared disk, for tests of what they do on distributions that no host of the
// lab has.
const (
	Export = export
	Mount  = mount
)

// SetUptime has a cloud learn from f how long the machine has run; nil: there is no such clock.
func SetUptime(c *Cloud, f func() (run string, up time.Duration, err error)) { c.uptime = f }
