// Package sshhost is the provider of type ssh: existing machines that are reached by ssh. It makes
// and destroys nothing. Its computers are the hosts in the configuration, one instance each, named
// SOURCE-HOST. They always exist. Only Connect, and Clean or Destroy of a used host, use the
// network. So a host may be acquired and released while it is down, or even if it does not exist.
//
// The machines stay as their users leave them. But hostler removes what it put there, and the
// lease's processes. Processes of a connection end with it. Those in the background have the
// variable HOSTLER_INSTANCE_MARK in the environment that they were started with. It has the
// installation and the instance, and Clean and Destroy end the processes that carry it. A process
// whose environment was emptied on purpose is not found. One of another user is found only if the
// log-in is root's. On a host without /proc none is found. Processes of other people never carry
// our mark.
//
// OpenSSH's configuration says how a host is reached: see sshconn.Dial.
package sshhost
