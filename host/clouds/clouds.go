// Package clouds has the kinds of sources that link many libraries, those of clouds and clusters.
// It also keeps the records of deployments in clouds.
package clouds

import (
	"github.com/hostler-project/hostler/provider/catalog"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/ironic"
	"github.com/hostler-project/hostler/provider/kubernetes"
	"github.com/hostler-project/hostler/provider/openstack"
)

// Kinds returns these kinds.
func Kinds() catalog.Table {
	return catalog.Table{deployable(openstack.Kind), deployable(ec2.Kind), ironic.Kind, kubernetes.Kind}
}

// deployable returns a kind whose sources take missing settings from their deployment.
func deployable(k *catalog.Kind) *catalog.Kind {
	out := *k
	out.Complete = deployed
	return &out
}
