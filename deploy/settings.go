package deploy

// Settings are the section [deploy] of hostler.conf, as config.Decode fills them.
type Settings struct {
	Source              string   `conf:"source"`      // where the nodes come from; "": as for other commands
	Image               string   `conf:"image"`       // an alias of [deploy.images], a name, the beginning of one, or an id
	Flavor              string   `conf:"flavor"`      // the same, without aliases
	Location            string   `conf:"location"`    // the same
	Cores               float64  `conf:"cores"`       // at least so many
	Memory              int64    `conf:"memory,size"` // bytes, at least
	Disk                int64    `conf:"disk,size"`   // bytes, at least
	Key                 string   `conf:"key"`         // an ssh key of the user's, whose public half is put on nodes
	NamePrefix          string   `conf:"name-prefix"` // of made-up names
	DestroyablePrefixes []string `conf:"destroyable-prefixes"`
	Bundles             []string `conf:"bundles"`  // for every node
	Parallel            int      `conf:"parallel"` // nodes at a time
	OnFailure           string   `conf:"on-failure"`
	TTL                 string   `conf:"ttl"`        // of nodes with a made-up name; a duration or none
	As                  string   `conf:"as"`         // root or self
	UserID              string   `conf:"userid"`     // a reference; what a source finds in the variable HOSTLER_DEPLOY_USERID
	SecretKey           string   `conf:"secret-key"` // a reference; the same of HOSTLER_DEPLOY_SECRET_KEY
}

// DefaultPrefix is that of made-up names where nothing else is said.
const DefaultPrefix = "deploy-test-"

// Free returns the prefixes of nodes that are free to go: without the key destroyable-prefixes that of made-up names.
func (s Settings) Free() []string {
	if s.DestroyablePrefixes != nil {
		return s.DestroyablePrefixes
	}
	if s.NamePrefix != "" {
		return []string{s.NamePrefix}
	}
	return []string{DefaultPrefix}
}
