package openstack

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/remote/agent"
)

// Options are the keys of a source of type openstack.
type Options struct {
	// a name in clouds.yaml; "": OS_CLOUD, and without that the OS_ variables
	Cloud      string  `conf:"cloud"`
	CloudsFile string  `conf:"clouds-file"` // a clouds.yaml; "": where OpenStack's client looks
	Region     string  `conf:"region"`      // "": the one of the cloud's entry
	RateLimit  float64 `conf:"rate-limit"`  // requests a second to each endpoint; 0: 20

	// a deployment of hostler cloud deploy; servers carry its name and are removed with it
	Deployment string `conf:"deployment"`

	// an id, a name, or the beginning of names, of which the newest counts
	Image string `conf:"image"`
	// an id or a name; "": the cheapest that is large enough
	Flavor      string `conf:"flavor"`
	Cores       int    `conf:"cores"`        // at least, if no flavor is named
	Memory      int64  `conf:"memory,size"`  // bytes, at least, if no flavor is named
	FlavorRegex string `conf:"flavor-regex"` // must match the name of a chosen flavor
	// classes of hardware: "^small,^tiny;^big" is two, each of regular expressions
	FlavorSets  string `conf:"flavor-sets"`
	FlavorOrder string `conf:"flavor-order"` // cheapest or listed; "": cheapest
	// bytes; if more than the flavor has, the server boots from a volume of this size
	Disk        int64  `conf:"disk,size"`
	VolumeType  string `conf:"volume-type"`  // of such a volume; "": the cloud's default
	Zone        string `conf:"zone"`         // availability zone; "": the cloud's default
	ServerGroup string `conf:"server-group"` // an id or a name, for affinity and anti-affinity
	ConfigDrive bool   `conf:"config-drive"` // metadata and user data are on a disk too
	// a file for cloud-init, besides the user data of a request
	UserData string   `conf:"user-data"`
	Metadata []string `conf:"metadata"` // KEY=VALUE, for the servers

	Network    []string `conf:"network"`         // ids or names; "": the only one
	Groups     []string `conf:"security-groups"` // ids or names; "": default
	FloatingIP bool     `conf:"floating-ip"`     // each server gets one, and is reached by it
	// the network of floating IPs, an id or a name; "": the only external one
	Pool string `conf:"floating-ip-pool"`

	// the log-in user; "": the image's
	User string `conf:"user"`
	// a key pair of the cloud; "": the source's own
	Key string `conf:"key"`
	// its private half; "": the source's own, or OpenSSH's configuration decides
	IdentityFile string `conf:"identity-file"`
	// given (the default): made here and passed to the server. console: read from its console log.
	// known-hosts: in OpenSSH's files.
	HostKey string `conf:"host-key"`
	// replaces OpenSSH's own configuration
	ConfigFile string `conf:"ssh-config"`
	// how a server is stopped: stop or suspend; "": stop
	Stop string `conf:"stop"`
	// when a server that cannot be reached counts as failed; 0: 20 minutes
	BuildTimeout time.Duration `conf:"build-timeout"`
	// how often the servers that are being made are listed; 0: 1 s
	Poll time.Duration `conf:"poll"`

	// the session; nil: a new one, from Cloud, CloudsFile, Region and RateLimit
	Session *Session
	Getenv  func(string) string // the environment if Session is nil; nil: the process's
	// finds the guest program, for workspaces and kept runs; nil: there are none
	Agent        agent.Finder
	Source       string // the source's name; required
	Installation string // the installation's id; required
	// the source's own directory, which has its key; required unless Key is set
	Dir string
}

// Check says what is wrong with the keys by themselves. It looks for no credentials and calls no
// cloud. Its errors are provider.KeyErrors. The keys of a named deployment are not included yet.
func (o Options) Check() error {
	_, err := o.understand()
	return err
}

// terms are what options say in several words.
type terms struct {
	sets     [][]string        // classes of hardware, each of regular expressions
	metadata map[string]string // for the servers
}

// understand parses the options and fills in the defaults.
func (o *Options) understand() (t terms, err error) {
	t.metadata = map[string]string{}
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
			return t, provider.WrongKey(of.key, "", "%s: it cannot be less than nothing", of.key)
		}
	}
	switch {
	case !slices.Contains([]string{"given", "console", "known-hosts"}, o.HostKey):
		return t, provider.WrongKey("host-key", "", "host-key = %s: not given, console or known-hosts", o.HostKey)
	case !slices.Contains([]string{"stop", "suspend"}, o.Stop):
		return t, provider.WrongKey("stop", "", "stop = %s: not stop or suspend", o.Stop)
	case o.FlavorOrder != string(flavor.Cheapest) && o.FlavorOrder != string(flavor.Listed):
		return t, provider.WrongKey("flavor-order", "", "flavor-order = %s: not cheapest or listed", o.FlavorOrder)
	case o.Flavor != "" && (o.FlavorRegex != "" || o.FlavorSets != ""):
		return t, provider.WrongKey("flavor", "remove one of them", "flavor names one, and flavor-regex or flavor-sets choose among many")
	case o.Pool != "" && !o.FloatingIP:
		return t, provider.WrongKey("floating-ip-pool", "say floating-ip = yes", "floating-ip-pool, and no floating IP")
	case o.IdentityFile != "" && o.Key == "" && o.Deployment == "": // a deployment may have the key
		return t, provider.WrongKey("identity-file", "say key = NAME, as the cloud calls its public half", "identity-file, and no key")
	case o.UserData != "" && !strings.HasPrefix(o.UserData, "/"):
		return t, provider.WrongKey("user-data", "", "user-data = %s: no absolute path", o.UserData)
	}
	for _, word := range o.Metadata {
		k, v, ok := strings.Cut(word, "=")
		if !ok || k == "" || strings.HasPrefix(k, "hostler:") || len(k) > 255 || len(v) > 255 {
			return t, provider.WrongKey(
				"metadata", "metadata = KEY=VALUE, KEY=VALUE",
				"metadata %s: no key and value of at most 255 bytes, or a key of ours", word,
			)
		}
		t.metadata[k] = v
	}
	if t.sets, err = flavor.ParseSets(o.FlavorSets); err != nil {
		return t, provider.WrongKey("flavor-sets", "", "flavor-sets: %w", err)
	}
	if _, err := regexp.Compile(o.FlavorRegex); err != nil {
		return t, provider.WrongKey("flavor-regex", "", "flavor-regex: %w", err)
	}
	return t, nil
}
