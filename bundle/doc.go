// Package bundle makes a computer fit for a purpose: named sets of files, scripts and public keys
// with their variables, put on it through a compute.Conn or written as user data for cloud-init.
//
// The way of a bundle: Parse makes a Definition of a bundle.conf, many of them are a Set. Set.Plan
// joins those that are asked for, with what they include, and finds all that can be wrong before
// anything is made. Plan.Render gives the steps for one computer, of which it knows the facts.
// Apply brings a computer to them and keeps a record there, so that a second Apply does only what
// has changed: nothing, in one round trip.
//
// There, nothing but a POSIX shell and the utilities of POSIX are needed. Secrets go by standard
// input, never by arguments; the record has salted digests alone. A Set and a Plan are not changed
// any more once they are made, and may be used by many goroutines.
package bundle
