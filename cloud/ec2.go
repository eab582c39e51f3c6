package cloud

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/flavor"
)

// EC2 opens EC2 regions for Options.Open: which, and how servers are there beside what an Order says, is said by base, as for a source of type ec2. Its zero value takes the credentials and the region
// that Amazon's own client would take. Base's User, PublicIP, Source, Installation and Dir are not looked at.
//
// Nothing is deployed there: servers come into the subnets and security groups that base names, or the region's own, and each is told the key to let in.
func EC2(base ec2.Options) func(context.Context, Setup) (Door, error) {
	return func(_ context.Context, setup Setup) (Door, error) {
		if setup.Dir == "" {
			return nil, &compute.Error{Op: "cloud.EC2", ID: compute.ID(setup.Resource), Kind: compute.ErrInvalid, Err: errors.New("a directory for private keys is missing"), Hint: "set Options.Dir"}
		}
		return region{base, setup}, nil
	}
}

// region is EC2 as a Door.
type region struct {
	base  ec2.Options
	setup Setup
}

var _ Door = region{}

func (r region) open(ctx context.Context, login Login) (*ec2.Provider, error) {
	o := r.base
	o.Source, o.Installation, o.Dir = r.setup.Resource, r.setup.Store.Installation(), filepath.Join(r.setup.Dir, "ec2")
	o.User = cmp.Or(login.User, o.User)
	if login.External {
		o.PublicIP, o.Address = "yes", "public"
	}
	return ec2.Open(ctx, r.setup.Log, o)
}

// Servers opens a provider of instances.
func (r region) Servers(ctx context.Context, login Login) (compute.Provider, error) {
	p, err := r.open(ctx, login)
	if err != nil {
		return nil, err // not p: a typed nil is not nil
	}
	return p, nil
}

// Deploy refuses what it would have to make.
func (r region) Deploy(_ context.Context, config DeployConfig) (Deployment, error) {
	if len(config.RequiredPorts)+len(config.DNSNameServers) > 0 || config.Network+config.CIDR+config.GatewayIP != "" {
		return Deployment{}, &compute.Error{Op: "cloud.Deploy", ID: compute.ID(r.setup.Resource), Kind: compute.ErrInvalid, Err: errors.New("networks and security groups are not made on EC2"),
			Hint: "name those that there are in the ec2.Options: Subnets, SecurityGroups"}
	}
	return Deployment{Details: map[string]string{}}, nil
}

// TearDown finds nothing: what instances have goes with them.
func (r region) TearDown(context.Context, bool) ([]string, error) {
	return nil, &compute.Error{Op: "cloud.TearDown", ID: compute.ID(r.setup.Resource), Kind: compute.ErrNotFound}
}

// Flavors are the region's instance types.
func (r region) Flavors(ctx context.Context, fresh bool) (*flavor.Table, error) {
	p, err := r.open(ctx, Login{})
	if err != nil {
		return nil, err
	}
	return p.Flavors(ctx, fresh)
}

// Quota knows no limit: EC2 tells its own only when one is reached, by an error of Spawn.
func (r region) Quota(context.Context) (Quota, error) { return Quota{}, nil }

// Place is not known: accounts are told apart by what an installation's mark finds.
func (r region) Place(context.Context) (Place, error) { return Place{}, nil }

// NoHardware tells whether there was no capacity for the type.
func (r region) NoHardware(err error) bool { return ec2.ReasonOf(err) == ec2.NoHardware }
