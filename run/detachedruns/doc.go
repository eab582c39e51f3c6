// Package detachedruns has runs that outlive the client that began them. The other end keeps the
// command, a recorder records its output and its end, and users attach to it.
package detachedruns
