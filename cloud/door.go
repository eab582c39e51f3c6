package cloud

import (
	"context"
	"log/slog"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/flavor"
)

// Flavor is a size of hardware that a cloud has.
type Flavor = flavor.Flavor

// Quota is the limit of a project and its use. A maximum of 0 is no limit.
type Quota = flavor.Quota

// Resources are what a quota counts: instances, cores, memory and the like.
type Resources = flavor.Resources

// Unlimited is the limit for Quota.Spawnable when the quota is the only limit.
const Unlimited = flavor.Unlimited

// Door is what this package needs of a kind of cloud. Its methods are safe for concurrent use.
type Door interface {
	// Servers opens the provider of servers for a login. All providers see the same servers. The
	// ids of instances are the servers' names.
	Servers(ctx context.Context, login Login) (compute.Provider, error)
	// Deploy makes what servers need and is missing, and repairs what is half made. It records each
	// thing in the store before it makes it.
	Deploy(ctx context.Context, config DeployConfig) (Deployment, error)
	// TearDown deletes what Deploy made and what servers left behind, and verifies that. The
	// servers are gone before. ErrNotFound says that there was nothing.
	TearDown(ctx context.Context, dryRun bool) (deleted []string, err error)
	// Flavors returns all flavors. Unless fresh, the answer may be some minutes old.
	Flavors(ctx context.Context, fresh bool) (*flavor.Table, error)
	// Quota returns the project's limits and use, others' use included. It may be some seconds old.
	Quota(ctx context.Context) (Quota, error)
	// Place returns where this process runs, as this cloud sees it. The answer may be cached.
	Place(ctx context.Context) (Place, error)
	// NoHardware reports whether an error says that the cloud had no room for a server.
	NoHardware(err error) bool
}

// Place says in which project of a cloud this process works, and on which server it runs.
type Place struct {
	Project string // that the credentials are for, by an id; "": the cloud has no projects
	Self    string // the name of the server of this project that we run on; "": we run elsewhere
}

// Login says how servers are reached.
type Login struct {
	User     string // "": what the image is known for
	External bool   // each server gets an address that is reachable from outside the cloud
}

// Setup is what a Door is opened with.
type Setup struct {
	Resource string // the deployment's name, and the prefix of all names
	Store    Store
	Dir      string // the directory for private keys
	Log      *slog.Logger
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
