package deploy

// Settings are the section [deploy] of hostler.conf, as config.Decode fills them.
type Settings struct {
	// the source of nodes; "": as for other commands
	Source string `conf:"source"`
	// an alias of [deploy.images], a name or its beginning, or an id
	Image    string  `conf:"image"`
	Flavor   string  `conf:"flavor"`      // the same, without aliases
	Location string  `conf:"location"`    // the same
	Cores    float64 `conf:"cores"`       // at least
	Memory   int64   `conf:"memory,size"` // bytes, at least
	Disk     int64   `conf:"disk,size"`   // bytes, at least
	// the user's ssh key, whose public half is put on nodes
	Key                 string   `conf:"key"`
	NamePrefix          string   `conf:"name-prefix"` // of made-up names
	DestroyablePrefixes []string `conf:"destroyable-prefixes"`
	Bundles             []string `conf:"bundles"`  // for every node
	Parallel            int      `conf:"parallel"` // nodes at a time
	OnFailure           string   `conf:"on-failure"`
	// of nodes with a made-up name; a duration or none
	TTL string `conf:"ttl"`
	As  string `conf:"as"`  // root or self
	Via string `conf:"via"` // one of Vias
	// a reference; sources find the value in HOSTLER_DEPLOY_USERID
	UserID string `conf:"userid"`
	// a reference; sources find the value in HOSTLER_DEPLOY_SECRET_KEY
	SecretKey string `conf:"secret-key"`
}

// Ways to put bundles on a node.
const (
	ViaSSH      = "ssh"       // through the connection for commands
	ViaUserData = "user-data" // by cloud-init at the first boot, without a connection
	// user data if possible, and a check through the connection; else as ViaSSH
	ViaAuto = "auto"
)

// Vias are all these ways.
var Vias = []string{ViaSSH, ViaUserData, ViaAuto}

// DefaultPrefix is the default prefix of made-up names.
const DefaultPrefix = "deploy-test-"

// Free returns the prefixes of nodes that may be destroyed. Without the key destroyable-prefixes,
// it is the prefix of made-up names.
func (s Settings) Free() []string {
	if s.DestroyablePrefixes != nil {
		return s.DestroyablePrefixes
	}
	if s.NamePrefix != "" {
		return []string{s.NamePrefix}
	}
	return []string{DefaultPrefix}
}
