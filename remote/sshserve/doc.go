// Package sshserve lets the programs of OpenSSH and all that rest on them (scp, sftp, rsync,
// Ansible, editors) into any computer that there is a compute.Conn to, whether or not it has an ssh
// server: it speaks the server's side of the protocol on a stream, and has the connection run what
// is asked for. Who holds the other end of the stream is let in: the stream is the standard input
// and output of a process that he started himself.
//
// It serves commands, shells and terminals with signals and sizes, SFTP, and forwarding of ports
// and sockets both ways. It forwards no agent and no X11.
package sshserve
