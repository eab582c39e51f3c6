package openstack

import (
	"time"

	"github.com/hostler-project/hostler/remote/agent"
)

// Options of a source of type openstack.
type Options struct {
	Cloud      string  `conf:"cloud"`       // a name in clouds.yaml; "": OS_CLOUD, and without that the OS_ variables
	CloudsFile string  `conf:"clouds-file"` // a clouds.yaml; "": where OpenStack's own client looks
	Region     string  `conf:"region"`      // "": what the cloud's entry says
	RateLimit  float64 `conf:"rate-limit"`  // requests a second to each endpoint; 0: 20

	Deployment string `conf:"deployment"` // the name of one that hostler cloud deploy made: what is made carries it, and goes with it

	Image       string   `conf:"image"`        // an id, a name, or what names begin with: the newest of these
	Flavor      string   `conf:"flavor"`       // an id or a name; "": the cheapest that is large enough
	Cores       int      `conf:"cores"`        // at least, where no flavor is named
	Memory      int64    `conf:"memory,size"`  // bytes, at least, where no flavor is named
	FlavorRegex string   `conf:"flavor-regex"` // which names the flavor that is chosen may have
	FlavorSets  string   `conf:"flavor-sets"`  // classes of hardware: "^small,^tiny;^big": regular expressions, a class between semicolons
	FlavorOrder string   `conf:"flavor-order"` // cheapest or listed; "": cheapest
	Disk        int64    `conf:"disk,size"`    // bytes; more than the flavor has: the server boots from a volume of this size
	VolumeType  string   `conf:"volume-type"`  // of such a volume; "": the cloud's own
	Zone        string   `conf:"zone"`         // availability zone; "": the cloud's own
	ServerGroup string   `conf:"server-group"` // an id or a name, for affinity and anti-affinity
	ConfigDrive bool     `conf:"config-drive"` // what the server is told is on a disk too
	UserData    string   `conf:"user-data"`    // a file of it, for cloud-init, beside what a request brings
	Metadata    []string `conf:"metadata"`     // KEY=VALUE, of the servers

	Network    []string `conf:"network"`          // ids or names; "": the only one that there is
	Groups     []string `conf:"security-groups"`  // ids or names; "": default
	FloatingIP bool     `conf:"floating-ip"`      // each server gets one, and is reached by it
	Pool       string   `conf:"floating-ip-pool"` // the network that they come from, an id or a name; "": the only external one

	User         string        `conf:"user"`          // who logs in; "": what the image says or is known for
	Key          string        `conf:"key"`           // a key pair that the cloud has; "": one of the source's own
	IdentityFile string        `conf:"identity-file"` // its private half; "": the source's own, or what OpenSSH is configured to offer
	HostKey      string        `conf:"host-key"`      // given: made here and told the server; console: read from its console log; known-hosts: OpenSSH's files say; "": given
	ConfigFile   string        `conf:"ssh-config"`    // read in place of OpenSSH's own configuration
	Stop         string        `conf:"stop"`          // what becomes of a server that is stopped: stop or suspend; "": stop
	BuildTimeout time.Duration `conf:"build-timeout"` // a server that is not reached so long after it was made has failed; 0: 20 minutes
	Poll         time.Duration `conf:"poll"`          // servers that are being made are looked at so often, all at once; 0: 1 s

	Session      *Session            // speaks to the cloud; nil: one of its own, from Cloud, CloudsFile, Region and RateLimit
	Getenv       func(string) string // the environment, where Session is nil; nil: the process's
	Agent        agent.Finder        // the guest side, for workspaces and kept runs; nil: there are none
	Source       string              // the source's name; required
	Installation string              // the installation's id; required
	Dir          string              // the source's own directory, where its key is; required unless Key is set
}
