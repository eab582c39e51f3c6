// Package ec2test is an EC2 for tests: an HTTP handler with the service's published wire format, a
// form in and XML out. It keeps computers, images, volumes and so on in memory. It does not use the
// official SDK, so the SDK checks it from the other side.
//
// It has the difficulties of the real service. New things are not found for a while. Calls are
// throttled. Capacity and quotas run out. A client token with other parameters is refused. Spot
// instances are taken away. Fail and the fields of Options ask for that.
//
// A booted instance may be a real ssh server: see Guests.
package ec2test
