package sshhost

import (
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// Options of a source of type ssh.
type Options struct {
	Source       string // the source's name; required
	Installation string // the installation's id, a part of the mark
	// names or aliases as one gives them to ssh, each also as USER@HOST, HOST:PORT, or both;
	// required
	Hosts      []string
	ConfigFile string        // read in place of OpenSSH's own configuration; "": that
	Timeout    time.Duration // for reaching a host; 0: ConnectTimeout, else 10 s
	// a silent connection is asked so often; 0: ServerAliveInterval, else 5 s
	KeepAlive time.Duration
	// the guest side, which is put on a host when somebody wants a workspace there; nil: there are
	// no workspaces
	Agent agent.Finder
	// the source's own directory, which remembers which hosts were used; "": nothing is remembered
	// nor looked for
	Dir string
}

// Check says what is wrong with the hosts' names: nobody is asked for them. Its errors are
// compute.KeyErrors.
func (o Options) Check() error {
	if len(o.Hosts) == 0 {
		return compute.WrongKey("ssh_host", "", "ssh_host (or hosts) is missing: which machine?")
	}
	for i, h := range o.Hosts {
		switch {
		case h == "" || strings.ContainsAny(h, " \t\r\n,") || strings.HasPrefix(h, "-"):
			return compute.WrongKey("ssh_host", "", "%q is not a host's name", h)
		case slices.Contains(o.Hosts[:i], h):
			return compute.WrongKey("ssh_host", "", "host %s is named twice", h)
		}
	}
	return nil
}
