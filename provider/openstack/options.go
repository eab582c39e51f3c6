package openstack

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/remote/agent"
)

// Options of a source of type openstack.
type Options struct {
	// a name in clouds.yaml; "": OS_CLOUD, and without that the OS_ variables
	Cloud      string  `conf:"cloud"`
	CloudsFile string  `conf:"clouds-file"` // a clouds.yaml; "": where OpenStack's own client looks
	Region     string  `conf:"region"`      // "": what the cloud's entry says
	RateLimit  float64 `conf:"rate-limit"`  // requests a second to each endpoint; 0: 20

	// the name of one that hostler cloud deploy made: what is made carries it, and goes with it
	Deployment string `conf:"deployment"`

	// an id, a name, or what names begin with: the newest of these
	Image string `conf:"image"`
	// an id or a name; "": the cheapest that is large enough
	Flavor      string `conf:"flavor"`
	Cores       int    `conf:"cores"`        // at least, where no flavor is named
	Memory      int64  `conf:"memory,size"`  // bytes, at least, where no flavor is named
	FlavorRegex string `conf:"flavor-regex"` // which names the flavor that is chosen may have
	// classes of hardware: "^small,^tiny;^big": regular expressions, a class between semicolons
	FlavorSets  string `conf:"flavor-sets"`
	FlavorOrder string `conf:"flavor-order"` // cheapest or listed; "": cheapest
	// bytes; more than the flavor has: the server boots from a volume of this size
	Disk        int64  `conf:"disk,size"`
	VolumeType  string `conf:"volume-type"`  // of such a volume; "": the cloud's own
	Zone        string `conf:"zone"`         // availability zone; "": the cloud's own
	ServerGroup string `conf:"server-group"` // an id or a name, for affinity and anti-affinity
	ConfigDrive bool   `conf:"config-drive"` // what the server is told is on a disk too
	// a file of it, for cloud-init, beside what a request brings
	UserData string   `conf:"user-data"`
	Metadata []string `conf:"metadata"` // KEY=VALUE, of the servers

	Network    []string `conf:"network"`         // ids or names; "": the only one that there is
	Groups     []string `conf:"security-groups"` // ids or names; "": default
	FloatingIP bool     `conf:"floating-ip"`     // each server gets one, and is reached by it
	// the network that they come from, an id or a name; "": the only external one
	Pool string `conf:"floating-ip-pool"`

	// who logs in; "": what the image says or is known for
	User string `conf:"user"`
	// a key pair that the cloud has; "": one of the source's own
	Key string `conf:"key"`
	// its private half; "": the source's own, or what OpenSSH is configured to offer
	IdentityFile string `conf:"identity-file"`
	// given: made here and told the server; console: read from its console log; known-hosts:
	// OpenSSH's files say; "": given
	HostKey string `conf:"host-key"`
	// read in place of OpenSSH's own configuration
	ConfigFile string `conf:"ssh-config"`
	// what becomes of a server that is stopped: stop or suspend; "": stop
	Stop string `conf:"stop"`
	// a server that is not reached so long after it was made has failed; 0: 20 minutes
	BuildTimeout time.Duration `conf:"build-timeout"`
	// servers that are being made are looked at so often, all at once; 0: 1 s
	Poll time.Duration `conf:"poll"`

	// speaks to the cloud; nil: one of its own, from Cloud, CloudsFile, Region and RateLimit
	Session *Session
	Getenv  func(string) string // the environment, where Session is nil; nil: the process's
	// the guest side, for workspaces and kept runs; nil: there are none
	Agent        agent.Finder
	Source       string // the source's name; required
	Installation string // the installation's id; required
	// the source's own directory, where its key is; required unless Key is set
	Dir string
}

// Check says what is wrong with the keys, as far as they say it themselves: no credentials are
// looked for, and nothing is asked of the cloud. Its errors are compute.KeyErrors. What a
// deployment adds to the keys is not among them yet, where it is named.
func (o Options) Check() error {
	return (&Provider{o: o, metadata: map[string]string{}}).understand()
}

// understand takes the options apart, and sets what is left to us.
func (p *Provider) understand() error {
	o := p.o
	o.HostKey, o.Stop, o.FlavorOrder = cmp.Or(o.HostKey, "given"), cmp.Or(o.Stop, "stop"), cmp.Or(o.FlavorOrder, string(flavor.Cheapest))
	o.BuildTimeout, o.Poll = cmp.Or(o.BuildTimeout, 20*time.Minute), cmp.Or(o.Poll, time.Second)
	for _, of := range []struct {
		key  string
		less bool
	}{
		{"cores", o.Cores < 0}, {"memory", o.Memory < 0}, {"disk", o.Disk < 0}, {"rate-limit", o.RateLimit < 0},
		{"build-timeout", o.BuildTimeout < 0}, {"poll", o.Poll < 0},
	} {
		if of.less {
			return compute.WrongKey(of.key, "", "%s: it cannot be less than nothing", of.key)
		}
	}
	switch {
	case !slices.Contains([]string{"given", "console", "known-hosts"}, o.HostKey):
		return compute.WrongKey("host-key", "", "host-key = %s: not given, console or known-hosts", o.HostKey)
	case !slices.Contains([]string{"stop", "suspend"}, o.Stop):
		return compute.WrongKey("stop", "", "stop = %s: not stop or suspend", o.Stop)
	case o.FlavorOrder != string(flavor.Cheapest) && o.FlavorOrder != string(flavor.Listed):
		return compute.WrongKey("flavor-order", "", "flavor-order = %s: not cheapest or listed", o.FlavorOrder)
	case o.Flavor != "" && (o.FlavorRegex != "" || o.FlavorSets != ""):
		return compute.WrongKey("flavor", "remove one of them", "flavor names one, and flavor-regex or flavor-sets choose among many")
	case o.Pool != "" && !o.FloatingIP:
		return compute.WrongKey("floating-ip-pool", "say floating-ip = yes", "floating-ip-pool, and no floating IP")
	case o.IdentityFile != "" && o.Key == "" && o.Deployment == "": // of which the key pair may be
		return compute.WrongKey("identity-file", "say key = NAME, as the cloud calls its public half", "identity-file, and no key")
	case o.UserData != "" && !strings.HasPrefix(o.UserData, "/"):
		return compute.WrongKey("user-data", "", "user-data = %s: no absolute path", o.UserData)
	}
	p.o = o
	for _, word := range o.Metadata {
		k, v, ok := strings.Cut(word, "=")
		if !ok || k == "" || strings.HasPrefix(k, "hostler:") || len(k) > 255 || len(v) > 255 {
			return compute.WrongKey(
				"metadata", "metadata = KEY=VALUE, KEY=VALUE",
				"metadata %s: no key and value of at most 255 bytes, or a key of ours", word,
			)
		}
		p.metadata[k] = v
	}
	var err error
	if p.sets, err = flavor.ParseSets(o.FlavorSets); err != nil {
		return compute.WrongKey("flavor-sets", "", "flavor-sets: %w", err)
	}
	if _, err := regexp.Compile(o.FlavorRegex); err != nil {
		return compute.WrongKey("flavor-regex", "", "flavor-regex: %w", err)
	}
	return nil
}
