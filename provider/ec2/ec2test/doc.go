// Package ec2test is an EC2 for tests: an HTTP handler that follows the service's published wire
// format, a form in and XML out, and keeps computers, images, volumes and what else belongs to them
// in memory. Nothing of the official SDK is used here, which therefore keeps it honest from the
// other side.
//
// It does what programs stumble over: what was just made is not found for a while, calls are
// throttled, capacity and quotas end, a client token that comes back with other parameters is
// refused, spot instances are taken away. Fail and the fields of Options ask for that.
//
// An instance that boots may be a real ssh server: see Guests.
package ec2test
