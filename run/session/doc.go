// Package session has an instance for the time of one command: finds it by a name or acquires it,
// opens the way in, renews the lease while the command runs, notices its end, and gives the
// instance back where it was acquired for the command.
//
// What a session needs from outside is a Backend: the lease engine and the ways into instances.
// Plain makes one of an engine alone.
package session
