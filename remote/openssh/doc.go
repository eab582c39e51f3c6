// Package openssh reads what a user has told OpenSSH about a host: its configuration, its known
// host keys, the keys to offer and where they are kept, proxy commands. It connects to nothing but
// the user's agent, and says what it does not understand instead of guessing.
package openssh

// Options say which host is meant, and what the user has decided beside the configuration.
type Options struct {
	Host          string   // a name or alias as one gives it to ssh; required
	User          string   // "": the configuration's, else the caller's own name
	Port          int      // 0: the configuration's, else 22
	IdentityFiles []string // nil: the configuration's
	ConfigFile    string   // read in place of ~/.ssh/config and /etc/ssh/ssh_config; "": those two
	// the host's keys, each as TYPE BASE64: no other is taken, and no file of known hosts is read;
	// nil: as the configuration says
	HostKeys []string
}
