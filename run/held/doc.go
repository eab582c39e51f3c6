// Package held goes on with runs that outlive the client that began them: their other end keeps
// the command, a recorder stays with it and records what it writes and how it ends, and people
// attach to it.
package held
