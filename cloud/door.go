package cloud

import (
	"context"
	"log/slog"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/flavor"
)

// Flavor is a size of hardware that a cloud has.
type Flavor = flavor.Flavor

// Quota is how much a project may have, and has. A maximum of 0 is no limit.
type Quota = flavor.Quota

// Resources are what a quota counts.
type Resources = flavor.Resources

// Unlimited is the limit of Quota.Spawnable for who has none beside the quota.
const Unlimited = flavor.Unlimited

// Door is what this package asks of a kind of cloud. All methods may be called at once from many
// goroutines.
type Door interface {
	// Servers opens the provider of servers that are logged in to in a way. All of them see the
	// same servers. Its instances' ids are the servers' names.
	Servers(ctx context.Context, login Login) (compute.Provider, error)
	// Deploy makes what servers need, as far as it is not there, and repairs what is half made. It
	// is recorded in the store before it is done.
	Deploy(ctx context.Context, config DeployConfig) (Deployment, error)
	// TearDown unmakes what Deploy made and what servers left behind, and verifies that. The
	// servers have gone before. ErrNotFound: there was nothing.
	TearDown(ctx context.Context, dryRun bool) (deleted []string, err error)
	// Flavors are those that there are. The answer may be some minutes old; fresh: it may not.
	Flavors(ctx context.Context, fresh bool) (*flavor.Table, error)
	// Quota asks how much the project may have, and has with what others made. The answer may be
	// some seconds old.
	Quota(ctx context.Context) (Quota, error)
	// Place is where we are, for this cloud. It may remember the answer.
	Place(ctx context.Context) (Place, error)
	// NoHardware tells whether an error says that the cloud had no room for a server.
	NoHardware(err error) bool
}

// Place is where we are, for a cloud.
type Place struct {
	Project string // that the credentials are for, by an id; "": the cloud has no projects
	Self    string // the name of the server of this project that we run on; "": we run elsewhere
}

// Login is how servers are reached.
type Login struct {
	User     string // "": what the image is known for
	External bool   // each gets an address that is reached from outside of the cloud
}

// Setup is what a Door is opened with.
type Setup struct {
	Resource string // the deployment's name, and what the names of all that is made begin with
	Store    Store
	Dir      string // the directory for private keys
	Log      *slog.Logger
}

// DeployConfig says what servers shall find. Zeros are the cloud's and our own defaults.
type DeployConfig struct {
	RequiredPorts  []int    // that are reached from outside
	From           []string // the networks from which they are; none: the deployment's own
	Network        string   // one that is there and is used as it is; "": one is made
	CIDR           string   // of the network that is made; "": 192.168.64.0/18
	GatewayIP      string   // "": the first address
	DNSNameServers []string // none: 8.8.4.4 and 8.8.8.8
	UseConfigDrive bool     // what servers are told is on a disk too
}

// Deployment is what there is for servers.
type Deployment struct {
	// ids, by kind: "keypair", "secgroup", "network", "subnet", "router"
	Details map[string]string `json:"details"`
	Project string            `json:"project,omitempty"`
	// that servers' addresses lie in; "": not known
	CIDR       string `json:"cidr,omitempty"`
	PrivateKey string `json:"-"` // PEM; "": the provider keeps it to itself
}
