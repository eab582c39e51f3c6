package sshhost

import (
	"time"

	"github.com/hostler-project/hostler/remote/agent"
)

// Options of a source of type ssh.
type Options struct {
	Source       string        // the source's name; required
	Installation string        // the installation's id, a part of the mark
	Hosts        []string      // names or aliases as one gives them to ssh, each also as USER@HOST, HOST:PORT, or both; required
	ConfigFile   string        // read in place of OpenSSH's own configuration; "": that
	Timeout      time.Duration // for reaching a host; 0: ConnectTimeout, else 10 s
	KeepAlive    time.Duration // a silent connection is asked so often; 0: ServerAliveInterval, else 5 s
	Agent        agent.Finder  // the guest side, which is put on a host when somebody wants a workspace there; nil: there are no workspaces
	Dir          string        // the source's own directory, which remembers which hosts were used; "": nothing is remembered nor looked for
}
