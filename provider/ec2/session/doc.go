// Package session is a way to the EC2 of one region with one set of credentials. It has the client,
// made at its first use, the operations that hostler needs, what their errors mean, and the tags by
// which hostler knows its own. Packages ec2 and deployment stand on it.
package session
