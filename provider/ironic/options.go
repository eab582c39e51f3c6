package ironic

import (
	"cmp"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/remote/agent"
)

// Options of a source of type ironic.
type Options struct {
	// a name in clouds.yaml; "": OS_CLOUD, and without that the OS_ variables
	Cloud      string  `conf:"cloud"`
	CloudsFile string  `conf:"clouds-file"` // a clouds.yaml; "": where OpenStack's own client looks
	Region     string  `conf:"region"`      // "": what the cloud's entry says
	RateLimit  float64 `conf:"rate-limit"`  // requests a second to each endpoint; 0: 100

	// an id, a name, or what names begin with: the newest of these
	Image  string   `conf:"image"`
	Class  string   `conf:"resource-class"` // of the nodes that may be taken; "": any
	Traits []string `conf:"traits"`         // they have all of these
	// KEY=VALUE, KEY~REGEXP and so on, as for FlavorRule
	Properties   []string `conf:"properties"`
	Capabilities []string `conf:"capabilities"`    // the same
	Group        string   `conf:"conductor-group"` // "-": none
	Shard        string   `conf:"shard"`           // "-": none
	// a file of it, for cloud-init, beside what a request brings
	UserData string `conf:"user-data"`

	// who logs in; "": what the image says or is known for
	User string `conf:"user"`
	// the private half of a key that images let in; "": the source's own, which nodes are told
	IdentityFile string `conf:"identity-file"`
	// given: made here and told the node; known-hosts: OpenSSH's files say; "": given
	HostKey string `conf:"host-key"`
	// read in place of OpenSSH's own configuration
	ConfigFile string `conf:"ssh-config"`
	// a node that is not reached so long after it was asked for has failed; 0: 40 minutes
	DeployTimeout time.Duration `conf:"deploy-timeout"`

	// speaks to the cloud; nil: one of its own, from Cloud, CloudsFile, Region and RateLimit
	Session *openstack.Session
	Getenv  func(string) string // the environment, where Session is nil; nil: the process's
	// the guest side, for workspaces and kept runs; nil: there are none
	Agent        agent.Finder
	Source       string // the source's name; required
	Installation string // the installation's id; required
	Dir          string // the source's own directory, where its key is; required
}

// Check says what is wrong with the keys, as far as they say it themselves: no credentials are
// looked for, and nothing is asked of the cloud. Its errors are compute.KeyErrors.
func (o Options) Check() error {
	switch key := cmp.Or(o.HostKey, "given"); {
	case key != "given" && key != "known-hosts":
		return compute.WrongKey("host-key", "", "host-key = %s: not given or known-hosts", o.HostKey)
	case o.RateLimit < 0:
		return compute.WrongKey("rate-limit", "", "rate-limit: it cannot be less than nothing")
	case o.DeployTimeout < 0:
		return compute.WrongKey("deploy-timeout", "", "deploy-timeout: it cannot be less than nothing")
	case o.UserData != "" && !strings.HasPrefix(o.UserData, "/"):
		return compute.WrongKey("user-data", "", "user-data = %s: no absolute path", o.UserData)
	}
	for _, of := range []struct {
		key  string
		said []string
	}{{"properties", o.Properties}, {"capabilities", o.Capabilities}} {
		if _, err := parseConditions(of.key, of.said); err != nil {
			return compute.WrongKey(of.key, "", "%w", err)
		}
	}
	return nil
}
