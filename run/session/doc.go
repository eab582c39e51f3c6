// Package session gives one command an instance. It finds the instance by a name, or acquires one,
// and connects to it. While the command runs, it renews the lease and notices its end. At the end
// it releases what it acquired for the command.
//
// A Backend has the lease engine and the connections to instances. Plain makes a Backend of an
// engine alone.
package session
