// Package bundle makes a computer fit for a purpose. A bundle is a named set of files, scripts and
// public keys with variables. It is put on a computer through a compute.Conn, or written as user
// data for cloud-init.
//
// Parse makes a Definition of a bundle.conf, and a Set has many of them. Set.Plan joins the wanted
// bundles with their includes, and finds all errors before anything is made. Plan.Render gives the
// steps for one computer by its facts. Apply does the steps and keeps a record on the computer, so
// a second Apply does only what has changed. If that is nothing, it takes one round trip.
//
// The computer needs only a POSIX shell and the utilities of POSIX. Secrets go by standard input,
// never by arguments, and the record has only salted digests. A Set and a Plan do not change once
// they are made, and are safe for concurrent use.
package bundle
