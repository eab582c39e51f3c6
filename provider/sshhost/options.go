package sshhost

import (
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/remote/agent"
)

// Options are the keys of a source of type ssh.
type Options struct {
	Source       string // the source's name; required
	Installation string // the installation's id, a part of the mark
	// names or aliases as for ssh, each also as USER@HOST, HOST:PORT or both; required
	SSHHost []string `conf:"ssh_host"` // crcache's name for the key; these come first
	Hosts   []string `conf:"hosts"`
	// replaces OpenSSH's own configuration; "": that one
	ConfigFile string `conf:"config-file"`
	// for reaching a host; 0: ConnectTimeout, else 10 s
	Timeout time.Duration `conf:"timeout"`
	// how often a silent connection is checked; 0: ServerAliveInterval, else 5 s
	KeepAlive time.Duration `conf:"keep-alive"`
	// finds the guest program, which is put on a host for workspaces; nil: there are none
	Agent agent.Finder
	// the source's own directory, which notes which hosts were used; "": nothing is noted, and
	// nothing is searched for
	Dir string
}

// Check says what is wrong with the names of the hosts. It looks up none of them. Its errors are
// provider.KeyErrors, and name the key that has the host.
func (o Options) Check() error {
	hosts, key := o.hosts(), "hosts"
	if len(o.SSHHost) > 0 {
		key = "ssh_host"
	}
	if len(hosts) == 0 {
		return provider.WrongKey(key, "", "hosts is missing: which machine?")
	}
	for i, h := range hosts {
		switch {
		case h == "" || strings.ContainsAny(h, " \t\r\n,") || strings.HasPrefix(h, "-"):
			return provider.WrongKey(key, "", "%q is not a host's name", h)
		case slices.Contains(hosts[:i], h):
			return provider.WrongKey(key, "", "host %s is named twice", h)
		}
	}
	return nil
}

// hosts returns all hosts, from both keys.
func (o Options) hosts() []string { return slices.Concat(o.SSHHost, o.Hosts) }
