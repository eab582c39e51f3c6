package cloud

import (
	"context"
	"errors"
	"log/slog"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/provider/openstack"
)

// Flavor is a size of hardware that a cloud has.
type Flavor = flavor.Flavor

// Quota is the limit of a project and its use. A maximum of 0 is no limit.
type Quota = flavor.Quota

// Resources are what a quota counts: instances, cores, memory and the like.
type Resources = flavor.Resources

// Unlimited is the limit for Quota.Spawnable when the quota is the only limit.
const Unlimited = flavor.Unlimited

// Backend is a kind of cloud for this package. It is the interface that the command line uses too.
type Backend = clouds.Cloud

// Login says how servers are reached.
type Login = clouds.Login

// Setup is what a Backend is opened with.
type Setup struct {
	Resource string // the deployment's name, and the prefix of all names
	Store    Store
	Dir      string // the directory for private keys
	Log      *slog.Logger
}

// complete returns an error if the directory is missing.
func (s Setup) complete() error {
	if s.Dir != "" {
		return nil
	}
	return &compute.Error{
		Op: "cloud.New", ID: compute.ID(s.Resource), Kind: compute.ErrInvalid,
		Err: errors.New("a directory for private keys is missing"), Hint: "set Options.Dir",
	}
}

// OpenStack opens OpenStack clouds for Options.Open. base says which project, and what servers have
// beside what an Order says, as for a source of type openstack. The zero value takes the
// credentials that OpenStack's own client would take. The fields User, FloatingIP, Source,
// Installation and Dir of base are ignored. Once something was deployed, so are its network,
// security groups and key.
func OpenStack(base openstack.Options) func(context.Context, Setup) (Backend, error) {
	return func(_ context.Context, s Setup) (Backend, error) {
		if err := s.complete(); err != nil {
			return nil, err
		}
		return clouds.OpenStack(base)
	}
}

// EC2 opens EC2 regions for Options.Open. base says which region, and what servers have beside what
// an Order says, as for a source of type ec2. The zero value takes the credentials and the region
// that Amazon's own client would take. The fields User, PublicIP, Source, Installation, Deployment,
// Pair and Dir of base are ignored.
//
// Deploy makes a key pair and, if ports are required, a security group. Servers get this group and
// the groups that base names. They run in the subnets that base names, else in the region's own.
func EC2(base ec2.Options) func(context.Context, Setup) (Backend, error) {
	return func(_ context.Context, s Setup) (Backend, error) {
		if err := s.complete(); err != nil {
			return nil, err
		}
		o := base
		o.Source, o.Installation, o.Dir = s.Resource, s.Store.Installation(), s.Dir
		return clouds.EC2(s.Log, o), nil
	}
}

// openers opens the kinds of clouds for Options.Provider. Each takes the credentials that its own
// client would take.
var openers = map[string]func(context.Context, Setup) (Backend, error){
	openstack.Kind.Name: OpenStack(openstack.Options{}),
	ec2.Kind.Name:       EC2(ec2.Options{}),
}

// DeployConfig says what servers need. A zero field means the default of the cloud or of this
// package.
type DeployConfig struct {
	RequiredPorts  []int    // ports that are open to the outside
	From           []string // the networks that may reach these ports; none: the deployment's own
	Network        string   // one that is there and is used as it is; "": one is made
	CIDR           string   // of the network that is made; "": 192.168.64.0/18
	GatewayIP      string   // "": the first address
	DNSNameServers []string // none: 8.8.4.4 and 8.8.8.8
	UseConfigDrive bool     // user data is on a config drive too
}

// Deployment is what Deploy made or found.
type Deployment struct {
	// ids, by kind: "keypair", "secgroup", "network", "subnet", "router"
	Details map[string]string `json:"details"`
	Project string            `json:"project,omitempty"`
	// the network of the servers' addresses; "": unknown
	CIDR       string `json:"cidr,omitempty"`
	PrivateKey string `json:"-"` // PEM; "": the provider keeps it to itself
}
