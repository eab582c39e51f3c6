package sshhost

import "time"

// Options of a source of type ssh.
type Options struct {
	Source       string        // the source's name; required
	Installation string        // the installation's id, a part of the mark
	Hosts        []string      // names or aliases as one gives them to ssh, each also as USER@HOST, HOST:PORT, or both; required
	ConfigFile   string        // read in place of OpenSSH's own configuration; "": that
	Timeout      time.Duration // for reaching a host; 0: ConnectTimeout, else 10 s
	KeepAlive    time.Duration // a silent connection is asked so often; 0: ServerAliveInterval, else 5 s
	Dir          string        // the source's own directory, which remembers which hosts were used; "": nothing is remembered nor looked for
}
