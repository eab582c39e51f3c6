// Package device signs a user in from a terminal: the user types a code into a page of an OpenID
// Connect provider, on any machine.
//
// It is the device authorization grant of RFC 8628, for clients without a secret. The tokens are
// not verified here: that is done by the controller that they are presented to.
package device
