// Package ec2 is the provider of type ec2: instances of Amazon's EC2, and of services with its API.
//
// Everything that is made carries tags from its first request on: hostler:installation,
// hostler:source and hostler:instance. By these it is found again. Nothing without them is changed.
// The client token of a launch is made of the same names and the place. So the same request, even
// from another process, gives the same instance. If there are two all the same, the younger one is
// terminated.
//
// One call lists the instances for all callers at that time. While instances boot, it runs at most
// once in Options.Poll.
//
// The host's key is made here and given to the instance as user data, so the first log-in can
// verify it. Otherwise it is read from the console. The keys are derived from one secret in
// Options.Dir, or from the private key that the source names. So nothing is stored for an instance.
package ec2
