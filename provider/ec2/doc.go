// Package ec2 is the provider of type ec2: instances of Amazon's EC2, and of services that speak
// its API.
//
// All that is made carries tags from the request that makes it on: hostler:installation,
// hostler:source and hostler:instance. By these it is found again, and nothing without them is
// touched. A request to launch has a client token that is made of the same names and of where it
// asks, so that the same request again, by this process or the next one, gives the same instance.
// Should two have come to be nevertheless, the younger one is terminated.
//
// What is there is read by one call for all who ask at the same time, and while instances boot no
// more often than Options.Poll.
//
// The host's key is made here and given to the instance as user data, so that the first log-in
// knows whom it speaks with; or it is read from the console. The keys are derived from one secret
// in Options.Dir, or from the private key that the source names: nothing needs to be kept for an
// instance.
package ec2
