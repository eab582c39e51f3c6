package ec2

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/remote/agent"
)

// Options are the keys of a source of type ec2. Credentials are found as by all programs with the
// AWS SDK: environment, shared files, single sign-on, or the role of our own instance.
type Options struct {
	Region   string `conf:"region"`   // "": the SDK's: AWS_REGION, or the profile's
	Endpoint string `conf:"endpoint"` // the URL of a service with EC2's API; "": Amazon's
	Profile  string `conf:"profile"`  // in the shared files; "": AWS_PROFILE, or the default one

	// an id, resolve:ssm:PARAMETER, or a name with * and ?, of which the newest counts
	Image string `conf:"image"`
	// the owners of an image that is named: accounts, self, amazon; none: self, then amazon
	Owners []string `conf:"image-owners"`
	// tried in order; none: those that meet the following keys, the cheapest first
	Types  []string `conf:"types"`
	Cores  int      `conf:"cores"`
	Memory int64    `conf:"memory,size"`
	Match  string   `conf:"type-match"` // a regular expression for the type's name

	// classes of hardware: "^m5,^m6;^c5" is two, each of regular expressions for the names of types
	Sets  string `conf:"flavor-sets"`
	Order string `conf:"flavor-order"` // cheapest or listed; "": cheapest

	// no, yes, or first: on demand if there is no spot capacity; "": no
	Spot string `conf:"spot"`
	// for a spot instance, in dollars an hour; "": the price on demand
	MaxPrice string `conf:"max-price"`
	// as max-price, but if the current price is higher, none is requested; "": no limit
	Ceiling string   `conf:"spot-price"`
	Prices  []string `conf:"prices"` // on demand, for an hour: "m5.large 0.096"

	Subnets []string `conf:"subnets"` // tried in order; none: the default one of a zone
	// tried in order if there are no subnets; none: the service chooses
	Zones          []string `conf:"zones"`
	SecurityGroups []string `conf:"security-groups"`
	PublicIP       string   `conf:"public-ip"` // yes or no; "": as the subnet says
	// public or private: the address for ssh; "": the public one if there is one
	Address string   `conf:"address"`
	Role    string   `conf:"role"` // the name or ARN of an instance profile
	Tags    []string `conf:"tags"` // further tags, NAME=VALUE

	// the name of a key pair; "": user data installs the key that we make
	Key string `conf:"key"`
	// the private key to log in with; "": the one that we make, or with key, OpenSSH's defaults
	IdentityFile string `conf:"identity-file"`
	// the log-in user; "": by the image's name, ubuntu, admin, ... or ec2-user
	User string `conf:"user"`
	Port int    `conf:"ssh-port"` // 0: 22
	// user-data: ours is installed; console: it is read there; "": user-data
	HostKey  string `conf:"host-key"`
	UserData string `conf:"user-data"` // a file

	VolumeSize int64  `conf:"volume-size,size"` // of the root volume, at least; 0: the image's
	VolumeType string `conf:"volume-type"`      // "": the image's
	Encrypted  bool   `conf:"volume-encrypted"`

	StopBy   string `conf:"stop"`     // stop or hibernate; "": stop
	Attempts int    `conf:"attempts"` // tries of one call, with the first; 0: 5
	// how often instances are listed while a call waits; 0: 2 s
	Poll time.Duration `conf:"poll"`

	// a deployment; instances carry its name and are removed with it; "": none
	Deployment string `conf:"deployment"`
	// the address of the metadata service, which tells whether we run on an instance; "": the
	// SDK's; none: it is not asked
	Metadata string
	// a key pair at EC2 of the key that we make, see Deploy; "": there is none
	Pair string

	Source       string // the source's name; required
	Installation string // the installation's id; required
	// has the secret from which keys are made, and data about hosts; required
	Dir string
	// finds the guest program, which is put on an instance for workspaces; nil: there are none
	Agent agent.Finder
}

// Check says what is wrong with the keys by themselves. It calls nothing. Its errors are
// provider.KeyErrors.
func (o Options) Check() error {
	_, err := o.parse()
	return err
}

// settings are parsed options with their defaults.
type settings struct {
	Options
	match    *regexp.Regexp
	sets     [][]string         // classes of hardware; none: any
	onDemand map[string]float64 // the configured prices
	ceiling  float64            // of a spot instance, for an hour; 0: none
}

// parse parses the options. Its errors are provider.KeyErrors.
func (o Options) parse() (*settings, error) {
	o.Spot, o.HostKey, o.StopBy = cmp.Or(o.Spot, "no"), cmp.Or(o.HostKey, "user-data"), cmp.Or(o.StopBy, "stop")
	o.Order = cmp.Or(o.Order, string(flavor.Cheapest))
	o.Port, o.Poll = cmp.Or(o.Port, 22), cmp.Or(o.Poll, 2*time.Second)
	s := &settings{Options: o, onDemand: map[string]float64{}}
	for key, is := range map[string]struct {
		value string
		one   []string
	}{
		"spot": {o.Spot, []string{"no", "yes", "first"}}, "host-key": {o.HostKey, []string{"user-data", "console"}},
		"stop":         {o.StopBy, []string{"stop", "hibernate"}},
		"flavor-order": {o.Order, []string{string(flavor.Cheapest), string(flavor.Listed)}},
		"public-ip":    {o.PublicIP, []string{"", "yes", "no"}},
		"address":      {o.Address, []string{"", "public", "private"}},
	} {
		if !slices.Contains(is.one, is.value) {
			return nil, provider.WrongKey(
				key, "", "%s = %s: it is one of %s", key, is.value,
				strings.Join(slices.DeleteFunc(is.one, func(s string) bool { return s == "" }), ", "),
			)
		}
	}
	var err error
	if s.match, err = regexp.Compile(o.Match); err != nil {
		return nil, provider.WrongKey("type-match", "", "type-match = %s: %w", o.Match, err)
	}
	if s.sets, err = flavor.ParseSets(o.Sets); err != nil {
		return nil, provider.WrongKey("flavor-sets", "", "flavor-sets: %w", err)
	}
	for _, line := range o.Prices {
		typ, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		price, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || price <= 0 {
			return nil, provider.WrongKey(
				"prices", "prices = m5.large 0.096, c5.large 0.085",
				"prices: %q is not a type and what it costs for an hour", line,
			)
		}
		s.onDemand[typ] = price
	}
	for _, tag := range o.Tags {
		if key, _, ok := strings.Cut(tag, "="); !ok || key == "" || strings.HasPrefix(key, "hostler:") || strings.HasPrefix(key, "aws:") {
			return nil, provider.WrongKey(
				"tags", "tags = team=build, cost-center=7", "tags: %q is not NAME=VALUE with a name of your own", tag,
			)
		}
	}
	for key, text := range map[string]string{"max-price": o.MaxPrice, "spot-price": o.Ceiling} {
		switch price, err := strconv.ParseFloat(cmp.Or(text, "1"), 64); {
		case err != nil || !(price > 0) || math.IsInf(price, 0):
			return nil, provider.WrongKey(key, "", "%s = %s: not a price for an hour", key, text)
		case text != "" && o.Spot == "no":
			return nil, provider.WrongKey(key, "set spot = yes or spot = first", "%s is for spot instances", key)
		case key == "spot-price" && text != "":
			s.ceiling = price
		}
	}
	for _, of := range []struct {
		key  string
		less bool
	}{
		{"cores", o.Cores < 0}, {"memory", o.Memory < 0}, {"volume-size", o.VolumeSize < 0},
		{"attempts", o.Attempts < 0}, {"poll", o.Poll < 0},
	} {
		if of.less {
			return nil, provider.WrongKey(of.key, "", "%s: it cannot be less than nothing", of.key)
		}
	}
	switch {
	case o.MaxPrice != "" && o.Ceiling != "":
		return nil, provider.WrongKey("max-price", "leave max-price out", "spot-price is a max-price too")
	case o.Endpoint != "" && !strings.HasPrefix(o.Endpoint, "https://") && !strings.HasPrefix(o.Endpoint, "http://"):
		return nil, provider.WrongKey("endpoint", "", "endpoint = %s: not a URL", o.Endpoint)
	case len(o.Subnets) > 0 && len(o.Zones) > 0:
		return nil, provider.WrongKey("zones", "leave zones out", "subnets and zones: a subnet is in a zone")
	case o.Port < 1 || o.Port > 65535:
		return nil, provider.WrongKey("ssh-port", "", "ssh-port = %d", o.Port)
	case len(o.Types) > 0 && (o.Cores > 0 || o.Memory > 0 || o.Match != "" || len(s.sets) > 0):
		return nil, provider.WrongKey("types", "leave one of them out",
			"types name what cores, memory, type-match and flavor-sets look for")
	case strings.ContainsFunc(o.User, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`:"'{}[]#&*!|>%@\`, r) }):
		return nil, provider.WrongKey("user", "", "user = %q: no name of a user", o.User)
	}
	return s, nil
}
