package cloud

import (
	"context"
	"time"
)

// The scripts of the shared disk, for tests of what they do on distributions that no host of the
// lab has.
const (
	Export = export
	Mount  = mount
)

// DeploymentOf is the deployment that servers of an OpenStack carry as their mark.
func DeploymentOf(ctx context.Context, d Door) (string, error) {
	o, err := d.(*stack).serversOptions(ctx, Login{})
	return o.Deployment, err
}

// SetUptime has a cloud learn from f how long the machine has run; nil: there is no such clock.
func SetUptime(c *Cloud, f func() (run string, up time.Duration, err error)) { c.uptime = f }
