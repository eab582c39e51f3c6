// Package clouds has the kinds of sources that link much: those of clouds and clusters, with the
// records of what was deployed in a cloud.
package clouds

import (
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/ironic"
	"github.com/hostler-project/hostler/provider/kubernetes"
	"github.com/hostler-project/hostler/provider/openstack"
)

// Kinds are these kinds.
func Kinds() provider.Table {
	return provider.Table{deployable(openstack.Kind), deployable(ec2.Kind), ironic.Kind, kubernetes.Kind}
}

// deployable has the sources of a kind take what they lack from their deployment.
func deployable(k *provider.Kind) *provider.Kind {
	out := *k
	out.Complete = deployed
	return &out
}

// Types are the types of sources that are clouds, the usual one first.
func Types() []string { return Kinds().Names(func(k *provider.Kind) bool { return k.Cloud }) }
