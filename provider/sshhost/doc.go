// Package sshhost is the provider of type ssh: machines that exist already and are reached by ssh.
// It makes and unmakes nothing: its computers are the hosts that the configuration names, one
// instance each, called SOURCE-HOST, and they are always there. Nothing but Connect, and Clean or
// Destroy of a host that was used, goes over the network; so a host may be acquired and released
// while it is down, or even does not exist.
//
// The machines stay as their users leave them, but what hostler put there goes, and the lease's
// processes. Those that run through a connection end with it. Those in the background carry the
// variable Mark in the environment that they were started with, which holds the installation and
// the instance: Clean and Destroy end them. A process whose environment was emptied on purpose is
// not found; one of another user is found only when the log-in is root's; and where the host has no
// /proc none is. Other people's processes never have our mark.
//
// How a host is reached is OpenSSH's configuration's to say: see remote.DialSSH.
package sshhost
