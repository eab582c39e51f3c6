// Package sshconn is a compute.Conn to a host with an ssh server. Log-ins are kept, so that a
// command costs a session and not a log-in.
//
// What the user's OpenSSH knows of the host is honoured: see remote/openssh.
package sshconn
