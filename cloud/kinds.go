package cloud

import (
	"context"

	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/openstack"
)

// providers are the kinds of clouds for Options.Provider. Each takes the credentials that its own
// client would take.
var providers = map[string]func(context.Context, Setup) (Door, error){
	"openstack": OpenStack(openstack.Options{}),
	"ec2":       EC2(ec2.Options{}),
}
