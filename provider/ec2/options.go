package ec2

import (
	"time"

	"github.com/hostler-project/hostler/remote/agent"
)

// Options of a source of type ec2. Credentials are found as all programs on the AWS SDK find them: environment, shared files, single sign-on, the role of the
// instance that we run on.
type Options struct {
	Region   string `conf:"region"`   // "": the SDK's: AWS_REGION, or the profile's
	Endpoint string `conf:"endpoint"` // the URL of a service that speaks EC2's API; "": Amazon's
	Profile  string `conf:"profile"`  // of the shared files; "": AWS_PROFILE, or the default one

	Image  string   `conf:"image"`        // an id, a name with * and ?, of which the newest counts, or resolve:ssm:PARAMETER
	Owners []string `conf:"image-owners"` // of an image that is named: accounts, self, amazon; none: self, then amazon
	Types  []string `conf:"types"`        // in order; none: those that fit what follows, the cheapest first
	Cores  int      `conf:"cores"`
	Memory int64    `conf:"memory,size"`
	Match  string   `conf:"type-match"` // a regular expression that a type's name matches

	Sets  string `conf:"flavor-sets"`  // classes of hardware: "^m5,^m6;^c5": regular expressions for names of types, a class between semicolons
	Order string `conf:"flavor-order"` // cheapest or listed; "": cheapest

	Spot     string   `conf:"spot"`       // no, yes, or first: and on demand where there is none; "": no
	MaxPrice string   `conf:"max-price"`  // of a spot instance for an hour, in dollars; "": the price on demand
	Ceiling  string   `conf:"spot-price"` // as max-price, and where spot instances cost more now none is asked for; "": there is none
	Prices   []string `conf:"prices"`     // on demand, for an hour: "m5.large 0.096"

	Subnets        []string `conf:"subnets"` // tried in order; none: the default one of a zone
	Zones          []string `conf:"zones"`   // tried in order, without subnets; none: the service chooses
	SecurityGroups []string `conf:"security-groups"`
	PublicIP       string   `conf:"public-ip"` // yes or no; "": as the subnet has it
	Address        string   `conf:"address"`   // public or private: where ssh goes; "": the public one where there is one
	Role           string   `conf:"role"`      // the name or ARN of an instance profile
	Tags           []string `conf:"tags"`      // further ones, NAME=VALUE

	Key          string `conf:"key"`           // the name of a key pair; "": the key that we make is put there by user data
	IdentityFile string `conf:"identity-file"` // the private key to log in with; "": one that we make, or with a key what OpenSSH would try
	User         string `conf:"user"`          // who logs in; "": by the image's name, ubuntu, admin, ... or ec2-user
	Port         int    `conf:"ssh-port"`      // 0: 22
	HostKey      string `conf:"host-key"`      // user-data: ours is put there; console: it is read there. "": user-data
	UserData     string `conf:"user-data"`     // a file

	VolumeSize int64  `conf:"volume-size,size"` // of the root volume, at least; 0: the image's
	VolumeType string `conf:"volume-type"`      // "": the image's
	Encrypted  bool   `conf:"volume-encrypted"`

	StopBy   string        `conf:"stop"`     // stop or hibernate; "": stop
	Attempts int           `conf:"attempts"` // of one call, the first included; 0: 5
	Poll     time.Duration `conf:"poll"`     // what is there is looked at so often, while one waits; 0: 2 s

	Deployment string `conf:"deployment"` // what is made carries its name, and goes with it; "": of none
	Metadata   string // the address of the metadata service, which says whether we run on an instance; "": the SDK's; none: it is not asked
	Pair       string // a key pair of EC2's whose public half is that of the key that we make, see Deploy; "": there is none

	Source       string       // the source's name; required
	Installation string       // the installation's id; required
	Dir          string       // where the secret is that keys come from, and what was learnt of hosts; required
	Agent        agent.Finder // the guest side, which is put on an instance when somebody wants a workspace there; nil: there are no workspaces
}
