package deploy

// Settings are the section [deploy] of hostler.conf, as config.Decode fills them.
type Settings struct {
	// where the nodes come from; "": as for other commands
	Source string `conf:"source"`
	// an alias of [deploy.images], a name, the beginning of one, or an id
	Image    string  `conf:"image"`
	Flavor   string  `conf:"flavor"`      // the same, without aliases
	Location string  `conf:"location"`    // the same
	Cores    float64 `conf:"cores"`       // at least so many
	Memory   int64   `conf:"memory,size"` // bytes, at least
	Disk     int64   `conf:"disk,size"`   // bytes, at least
	// an ssh key of the user's, whose public half is put on nodes
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
	// a reference; what a source finds in the variable HOSTLER_DEPLOY_USERID
	UserID string `conf:"userid"`
	// a reference; the same of HOSTLER_DEPLOY_SECRET_KEY
	SecretKey string `conf:"secret-key"`
}

// Ways by which bundles come to a node.
const (
	ViaSSH      = "ssh"       // through the connection that commands take
	ViaUserData = "user-data" // by cloud-init at its first boot, and no connection is needed
	// by user data where that can be, and looked at through the connection; else as ViaSSH
	ViaAuto = "auto"
)

// Vias are all of them, as a user writes them.
var Vias = []string{ViaSSH, ViaUserData, ViaAuto}

// DefaultPrefix is that of made-up names where nothing else is said.
const DefaultPrefix = "deploy-test-"

// Free returns the prefixes of nodes that are free to go: without the key destroyable-prefixes that
// of made-up names.
func (s Settings) Free() []string {
	if s.DestroyablePrefixes != nil {
		return s.DestroyablePrefixes
	}
	if s.NamePrefix != "" {
		return []string{s.NamePrefix}
	}
	return []string{DefaultPrefix}
}
