package ironic

import (
	"cmp"
	"strings"
	"time"

	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/remote/agent"
)

// Options are the keys of a source of type ironic.
type Options struct {
	// a name in clouds.yaml; "": OS_CLOUD, and without that the OS_ variables
	Cloud      string  `conf:"cloud"`
	CloudsFile string  `conf:"clouds-file"` // a clouds.yaml; "": where OpenStack's client looks
	Region     string  `conf:"region"`      // "": the one of the cloud's entry
	RateLimit  float64 `conf:"rate-limit"`  // requests a second to each endpoint; 0: 100

	// an id, a name, or the beginning of names, of which the newest counts
	Image  string   `conf:"image"`
	Class  string   `conf:"resource-class"` // of the nodes; "": any
	Traits []string `conf:"traits"`         // the nodes have all of these
	// KEY=VALUE, KEY~REGEXP and so on, as in FlavorRule
	Properties   []string `conf:"properties"`
	Capabilities []string `conf:"capabilities"`    // the same
	Group        string   `conf:"conductor-group"` // "-": none
	Shard        string   `conf:"shard"`           // "-": none
	// a file for cloud-init, besides the user data of a request
	UserData string `conf:"user-data"`

	// the log-in user; "": the image's
	User string `conf:"user"`
	// the private half of a key that images accept; "": the source's own, which nodes are told
	IdentityFile string `conf:"identity-file"`
	// given: made here and passed to the node; known-hosts: in OpenSSH's files; "": given
	HostKey string `conf:"host-key"`
	// replaces OpenSSH's own configuration
	ConfigFile string `conf:"ssh-config"`
	// when a node that cannot be reached counts as failed; 0: 40 minutes
	DeployTimeout time.Duration `conf:"deploy-timeout"`

	// the session; nil: a new one, from Cloud, CloudsFile, Region and RateLimit
	Session *openstack.Session
	Getenv  func(string) string // the environment if Session is nil; nil: the process's
	// finds the guest program, for workspaces and kept runs; nil: there are none
	Agent        agent.Finder
	Source       string // the source's name; required
	Installation string // the installation's id; required
	Dir          string // the source's own directory, which has its key; required
}

// Check says what is wrong with the keys by themselves. It looks for no credentials and calls no
// cloud. Its errors are provider.KeyErrors.
func (o Options) Check() error {
	switch key := cmp.Or(o.HostKey, "given"); {
	case key != "given" && key != "known-hosts":
		return provider.WrongKey("host-key", "", "host-key = %s: not given or known-hosts", o.HostKey)
	case o.RateLimit < 0:
		return provider.WrongKey("rate-limit", "", "rate-limit: it cannot be less than nothing")
	case o.DeployTimeout < 0:
		return provider.WrongKey("deploy-timeout", "", "deploy-timeout: it cannot be less than nothing")
	case o.UserData != "" && !strings.HasPrefix(o.UserData, "/"):
		return provider.WrongKey("user-data", "", "user-data = %s: no absolute path", o.UserData)
	}
	for _, of := range []struct {
		key  string
		said []string
	}{{"properties", o.Properties}, {"capabilities", o.Capabilities}} {
		if _, err := parseConditions(of.key, of.said); err != nil {
			return provider.WrongKey(of.key, "", "%w", err)
		}
	}
	return nil
}
