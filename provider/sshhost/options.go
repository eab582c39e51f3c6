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
	SSHHost []string `conf:"ssh_host"` // as crcache called them; the first
	Hosts   []string `conf:"hosts"`
	// read in place of OpenSSH's own configuration; "": that
	ConfigFile string `conf:"config-file"`
	// for reaching a host; 0: ConnectTimeout, else 10 s
	Timeout time.Duration `conf:"timeout"`
	// a silent connection is asked so often; 0: ServerAliveInterval, else 5 s
	KeepAlive time.Duration `conf:"keep-alive"`
	// the guest side, which is put on a host when somebody wants a workspace there; nil: there are
	// no workspaces
	Agent agent.Finder
	// the source's own directory, which remembers which hosts were used; "": nothing is remembered
	// nor looked for
	Dir string
}

// Check says what is wrong with the hosts' names: nobody is asked for them. Its errors are
// compute.KeyErrors, and name the key that the hosts were given by.
func (o Options) Check() error {
	hosts, key := o.hosts(), "ssh_host"
	if len(o.SSHHost) == 0 && len(o.Hosts) > 0 {
		key = "hosts"
	}
	if len(hosts) == 0 {
		return compute.WrongKey(key, "", "ssh_host (or hosts) is missing: which machine?")
	}
	for i, h := range hosts {
		switch {
		case h == "" || strings.ContainsAny(h, " \t\r\n,") || strings.HasPrefix(h, "-"):
			return compute.WrongKey(key, "", "%q is not a host's name", h)
		case slices.Contains(hosts[:i], h):
			return compute.WrongKey(key, "", "host %s is named twice", h)
		}
	}
	return nil
}

// hosts are all hosts, by whichever key they were given.
func (o Options) hosts() []string { return slices.Concat(o.SSHHost, o.Hosts) }
