package clouds

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// Cloud is a project of a cloud, or an account of it in a region, with all that can be done there
// for a deployment. Its methods are safe for concurrent use. The first one that is called logs in.
type Cloud interface {
	Catalog

	// Place says which project this is. The answer does not change.
	Place(ctx context.Context) (Place, error)
	// Self returns the name of the server of this project that this process runs on. "": it runs
	// elsewhere. The answer does not change.
	Self(ctx context.Context) (string, error)

	// Deploy makes what servers need and is missing, and repairs what is half made. It records each
	// thing before it makes it. keyFile has the private key of the servers; "": the cloud keeps it.
	Deploy(ctx context.Context, o deployment.Options, s deployment.Settings) (rec *deployment.Record, keyFile string, err error)
	// Teardown deletes a deployment with its servers and what servers left behind, and verifies
	// that. ErrNotFound says that there was nothing.
	Teardown(ctx context.Context, o deployment.Options) error

	// Servers opens the provider of a deployment's servers. All such providers see the same
	// servers. The ids of instances are the servers' names. Nothing has to be deployed before.
	Servers(ctx context.Context, o deployment.Options, login Login) (compute.Provider, error)
	// List returns the servers of an installation, or of one deployment of it.
	List(ctx context.Context, installation, deployment string) ([]deployment.ServerInfo, error)
	// Destroy destroys a listed server. DryRun of the options asks for nothing.
	Destroy(ctx context.Context, o deployment.Options, s deployment.ServerInfo) error
}

// Catalog tells what can be had in a project.
type Catalog interface {
	// Flavors returns all flavors. Unless fresh, the answer may be some minutes old.
	Flavors(ctx context.Context, fresh bool) (*flavor.Table, error)
	// Quota returns the limits of the project and how much of them is in use, by servers of any
	// origin. If all is set, it asks every service that knows of a limit. untold names the limits
	// that these credentials may not see.
	Quota(ctx context.Context, all bool) (quotas []Quota, untold string, err error)
	// Images returns the images whose name or id begins with prefix, the newest first.
	Images(ctx context.Context, prefix string) ([]Image, error)
	// HasImage returns nil if a source with this name of an image gets an image.
	HasImage(ctx context.Context, name string) error
	// NoHardware reports whether an error says that the cloud had no room for a server.
	NoHardware(err error) bool
}

// Place is a project of a cloud.
type Place struct {
	Cloud    string // the name of the credentials in the cloud's own configuration; "": none
	Project  string // the id of the project or account; "": the credentials may not see it
	Region   string
	Identity string // tells this project from others, by its id and where it is; "": unknown
}

// Login says how servers are reached.
type Login struct {
	User     string // "": what the image is known for
	External bool   // each server gets an address that is reachable from outside the cloud
}

// The names of quotas that all clouds have.
const (
	QuotaInstances   = "instances"
	QuotaCores       = "cores"
	QuotaMemory      = "memory"
	QuotaVolumeBytes = "volume-bytes"
)

// Quota is a limit of a project and its use.
type Quota struct {
	Name            string
	Max, Used, Free *int64 // nil: no limit, or the cloud does not tell
}

// Image is an image that a server can be made of.
type Image struct {
	ID, Name, Visibility string
	Size                 int64
	MinDisk, MinMemory   int64
	Created              time.Time
}

// Where says which project to open. A zero field means what the cloud's own client would take.
type Where struct {
	Cloud, File string // of clouds.yaml: the name of a cloud, and the file
	Profile     string // of the files of AWS
	Region      string
	Endpoint    string   // another service than the usual one, by its URL
	Subnets     []string // for the servers

	// the deployment's; it says what is not given here. nil: there is none
	Record       *deployment.Record
	Keys         string // the directory of private keys; "": nothing is deployed
	Installation string
	Log          *slog.Logger
}

// Source is what a deployment's source has beside what all sources have.
type Source struct {
	Where
	Flavor   string // a regular expression
	Disk     string // the least size
	Floating bool   // each server gets an address that is reachable from outside the cloud
	Settings deployment.Settings
}

// Setting is a line of a source's section. An empty value means no line.
type Setting struct{ Key, Value string }

// Project describes the projects of one kind of cloud.
type Project struct {
	Kind string // the type of its sources
	// the environment variables that clients of the cloud read
	Required, Optional []string
	// the options of `hostler cloud` that are for no other kind
	Options []string
	// Open returns a project. It asks the cloud nothing yet.
	Open func(Where) (Cloud, error)
	// Section returns what the section of a deployment's source says.
	Section func(*deployment.Record, Source) []Setting
}

// Projects returns the kinds of clouds, the usual one first.
func Projects() []Project {
	return []Project{
		{
			Kind:     openstack.Kind.Name,
			Required: []string{"OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_REGION_NAME"},
			Optional: []string{
				"OS_USERID", "OS_TENANT_ID", "OS_TENANT_NAME", "OS_DOMAIN_ID", "OS_PROJECT_DOMAIN_ID", "OS_DOMAIN_NAME",
				"OS_USER_DOMAIN_NAME", "OS_PROJECT_ID", "OS_PROJECT_NAME", "OS_POOL_NAME",
			},
			Options: []string{
				"cloud", "clouds-file", "network", "network-cidr", "network-gateway-ip", "network-cidr6", "network-dns",
				"no-dhcp", "external-network", "config-drive", "rotate-key",
			},
			Open: openStack, Section: stackSection,
		},
		{
			Kind:     ec2.Kind.Name,
			Required: []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"},
			Optional: []string{
				"AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
			},
			Options: []string{"profile", "endpoint", "subnets"},
			Open:    openRegion, Section: regionSection,
		},
	}
}

// ProjectOf returns the description of a kind of cloud.
func ProjectOf(kind string) (Project, bool) {
	all := Projects()
	i := slices.IndexFunc(all, func(p Project) bool { return p.Kind == kind })
	if i < 0 {
		return Project{}, false
	}
	return all[i], true
}

// Types returns the types of sources that are clouds, the usual one first.
func Types() (out []string) {
	for _, p := range Projects() {
		out = append(out, p.Kind)
	}
	return out
}

// KindOf returns the kind of cloud that a deployment is in.
func KindOf(rec *deployment.Record) string { return cmp.Or(rec.Provider, openstack.Kind.Name) }

// recorded reads the record of a deployment for a kind of cloud. It returns nil if there is none.
func recorded(ctx context.Context, o deployment.Options, kind string) (*deployment.Record, error) {
	rec, err := o.Store.Deployment(ctx, o.Name)
	switch {
	case errors.Is(err, compute.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case KindOf(rec) != kind:
		return nil, &compute.Error{
			ID: compute.ID(o.Name), Kind: compute.ErrConflict,
			Err: errors.New("it is deployed in " + KindOf(rec) + ", and this is " + kind), Hint: "take another name",
		}
	}
	return rec, nil
}
