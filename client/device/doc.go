// Package device signs somebody in from a terminal: he types a code into a page of a provider of
// OpenID Connect, on any machine, and the provider tells us who he is.
//
// It is the device authorization grant of RFC 8628, for clients without a secret. What the provider
// tells is believed by the controller that it is shown to, not here.
package device
