package cloud

import "context"

// The scripts of the shared disk, for tests of what they do on distributions that no host of the lab has.
const (
	Export = export
	Mount  = mount
)

// DeploymentOf is the deployment that servers of an OpenStack carry as their mark.
func DeploymentOf(ctx context.Context, d Door) (string, error) {
	o, err := d.(*stack).serversOptions(ctx, Login{})
	return o.Deployment, err
}
