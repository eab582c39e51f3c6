// Package session speaks to the EC2 of one region with one set of credentials. It makes the client
// at its first use. It has the operations that hostler needs, the meaning of their errors, and the
// tags of hostler's own things. The packages ec2 and deployment build on it.
package session
