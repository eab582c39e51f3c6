// Package sshserve lets the programs of OpenSSH and those that rest on them (scp, sftp, rsync,
// Ansible, editors) into any computer that there is a compute.Conn to, with or without an ssh
// server. It speaks the server's side of the protocol on a stream, and has the connection run what
// is asked for. The holder of the stream's other end is let in: the stream is the standard input
// and output of a process that the user started.
//
// It serves commands, shells and terminals with signals and sizes, SFTP, and forwarding of ports
// and sockets both ways. It forwards no agent and no X11.
package sshserve
